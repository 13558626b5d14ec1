// polyglot worker cuts texts into words; polyglot driver [-out FILE] [DIRECTORY] runs the pipeline, whose other stages are in other languages: it calls
// them by name and passes refs from one to the next.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	thornback "thornback.dev/go"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := fmt.Errorf("usage: polyglot worker | polyglot driver [-out FILE] [DIRECTORY]")
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "worker":
			worker := thornback.NewWorker()
			worker.Register("text.tokenise", tokenise)
			err = worker.Serve(ctx)
		case "driver":
			err = drive(ctx, os.Args[2:])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
