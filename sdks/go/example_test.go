package thornback_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	thornback "thornback.dev/go"
	"thornback.dev/go/thornbacktest"
)

// The examples run in this process: a program of yours has its client from thornback.Connect, and its worker elsewhere.
func exampleClient() *thornback.Client {
	worker := thornback.NewWorker()
	worker.Register("add", func(a, b int) int { return a + b })
	worker.Register("parse", func(text string) (int, error) {
		return 0, thornback.NewError("config.BadLine", "no number: "+text, nil)
	})
	worker.Register("countdown", func(n int) iter.Seq[int] {
		return func(yield func(int) bool) {
			for ; n > 0 && yield(n); n-- {
			}
		}
	})
	worker.RegisterActor("Counter", newCounter)
	return thornbacktest.New(outside{}, worker)
}

// outside stands in for a test where there is none.
type outside struct{ testing.TB }

func (outside) Helper()                           {}
func (outside) Cleanup(func())                    {}
func (outside) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func ExampleTask_Submit() {
	ctx, client := context.Background(), exampleClient()
	defer client.Close()

	add, err := thornback.NewTask[int](client, "add")
	if err != nil {
		panic(err)
	}
	three, err := add.Submit(ctx, 1, 2)
	if err != nil {
		panic(err)
	}
	// A ref is given wherever its value is asked for.
	ten, err := add.Submit(ctx, three, 7)
	if err != nil {
		panic(err)
	}
	fmt.Println(ten.Get(ctx))
	// Output: 10 <nil>
}

func ExampleStream_All() {
	ctx, client := context.Background(), exampleClient()
	defer client.Close()

	countdown, err := thornback.NewTask[int](client, "countdown", thornback.StreamWindow(8))
	if err != nil {
		panic(err)
	}
	items, err := countdown.Stream(ctx, 3)
	if err != nil {
		panic(err)
	}
	for n, err := range items.All(ctx) {
		fmt.Println(n, err)
	}
	// Output:
	// 3 <nil>
	// 2 <nil>
	// 1 <nil>
}

func ExampleClass_Create() {
	ctx, client := context.Background(), exampleClient()
	defer client.Close()

	class, err := thornback.NewClass(client, "Counter", thornback.MaxRestarts(1))
	if err != nil {
		panic(err)
	}
	counter, err := class.Create(ctx, 40)
	if err != nil {
		panic(err)
	}
	ref, err := thornback.Call[int](ctx, counter, "add", 2)
	if err != nil {
		panic(err)
	}
	fmt.Println(ref.Get(ctx))
	// Output: 42 <nil>
}

func ExampleError() {
	ctx, client := context.Background(), exampleClient()
	defer client.Close()

	parse, err := thornback.NewTask[int](client, "parse")
	if err != nil {
		panic(err)
	}
	ref, err := parse.Submit(ctx, "twelve")
	if err != nil {
		panic(err)
	}
	_, err = ref.Get(ctx)
	var failure *thornback.Error
	if errors.As(err, &failure) && errors.Is(err, thornback.CodeTaskFailed) {
		fmt.Println(failure.Message, failure.IsType("BadLine"), failure.Code.Retryable())
	}
	// Output: no number: twelve true false
}

func ExampleWait() {
	ctx, client := context.Background(), exampleClient()
	defer client.Close()

	add, err := thornback.NewTask[int](client, "add")
	if err != nil {
		panic(err)
	}
	var refs []thornback.Ref[int]
	for i := range 3 {
		ref, err := add.Submit(ctx, i, i)
		if err != nil {
			panic(err)
		}
		refs = append(refs, ref)
	}
	ready, rest, err := thornback.Wait(ctx, refs, 3)
	fmt.Println(len(ready), len(rest), err)
	// Output: 3 0 <nil>
}
