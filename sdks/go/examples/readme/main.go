// The program of the SDK's README.
package main

import (
	"context"
	"fmt"
	"log"

	thornback "thornback.dev/go"
)

func add(a, b int) int { return a + b }

func main() {
	ctx := context.Background()
	// One program for both: the node starts it again as a worker.
	if thornback.IsWorker() {
		worker := thornback.NewWorker()
		worker.Register("add", add)
		if err := worker.Serve(ctx); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := drive(ctx); err != nil {
		log.Fatal(err)
	}
}

func drive(ctx context.Context) error {
	client, err := thornback.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	pool, err := thornback.ThisProgram("demo")
	if err != nil {
		return err
	}
	if err := client.DeclarePool(ctx, pool); err != nil {
		return err
	}

	sum, err := thornback.NewTask[int](client, "add")
	if err != nil {
		return err
	}
	three, err := sum.Submit(ctx, 1, 2)
	if err != nil {
		return err
	}
	ten, err := sum.Submit(ctx, three, 7)
	if err != nil {
		return err
	}
	n, err := ten.Get(ctx)
	if err != nil {
		return err
	}
	fmt.Println(n)
	return nil
}
