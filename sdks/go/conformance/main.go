// Command conformance shows the Go SDK to the conformance suite: its last argument is driver or worker (see conformance/docs/testee.md).
//
// It judges nothing and repairs nothing. What it does with the SDK is what a user could do.
package main

import (
	"context"
	"fmt"
	"os"
)

func main() {
	err := fmt.Errorf("the last argument is driver or worker; see conformance/docs/testee.md")
	switch os.Args[len(os.Args)-1] {
	case "driver":
		err = drive(context.Background(), os.Stdin, os.Stdout)
	case "worker":
		err = newWorker().Serve(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
