package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"sync/atomic"
	"time"

	thornback "thornback.dev/go"
)

// lookEvery is how often a function that waits for a file looks.
const lookEvery = 3 * time.Millisecond

// ConformanceError is what user code raises.
type ConformanceError struct {
	message string
	cause   error
}

func (e *ConformanceError) Error() string { return e.message }

func (e *ConformanceError) Unwrap() error { return e.cause }

func newWorker() *thornback.Worker {
	w := thornback.NewWorker()
	serve := func(name string, fn any) { w.Register("conformance."+name, fn) }
	serve("echo", func(x any) any { return x })
	serve("add", func(a, b int64) int64 { return a + b })
	serve("list", func(args ...any) []any { return args })
	serve("keywords", func(named thornback.Keywords) thornback.Keywords { return named })
	serve("pattern", pattern)
	serve("size", func(data thornback.View) int { return data.Len() })
	serve("many", func(n int) []int {
		numbers := make([]int, n)
		for i := range numbers {
			numbers[i] = i
		}
		return numbers
	})
	serve("language", func() string { return "go" })
	serve("mark", mark)
	serve("fail", fail)
	serve("fail_chain", failChain)
	serve("fail_first", failFirst)
	serve("die_first", dieFirst)
	serve("hold", hold)
	serve("busy", busy)
	serve("relay", relay)
	serve("refs", refs)
	serve("read", read)
	serve("count", count)
	serve("count_fail", countFail)
	serve("paced", paced)
	w.RegisterActor("conformance.Counter", newCounter)
	w.RegisterActor("conformance.Broken", newBroken)
	w.RegisterActor("conformance.Together", func() *together { return &together{} })
	return w
}

// appendLine appends a line to a file, and says how many there are.
func appendLine(path, line string) (int, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	if _, err := file.WriteString(line + "\n"); err != nil {
		return 0, err
	}
	if err := file.Close(); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(path)
	return bytes.Count(text, []byte("\n")), err
}

func touch(path string) error { return os.WriteFile(path, nil, 0o600) }

// waitFor waits until there is a file, or the task is interrupted.
func waitFor(ctx context.Context, path string) error {
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

func mark(path, text string) error {
	_, err := appendLine(path, text)
	return err
}

func fail(message string) error { return &ConformanceError{message: message} }

func failChain(n int) error {
	e := &ConformanceError{message: fmt.Sprintf("level %d", n)}
	if n > 0 {
		e.cause = failChain(n - 1)
	}
	return e
}

func failFirst(path string, n int) (int, error) {
	attempt, err := appendLine(path, "attempt")
	if err == nil && attempt <= n {
		err = &ConformanceError{message: fmt.Sprintf("attempt %d", attempt)}
	}
	return attempt, err
}

func dieFirst(path string, n int) (int, error) {
	attempt, err := appendLine(path, "attempt")
	if err == nil && attempt <= n {
		os.Exit(3)
	}
	return attempt, err
}

func hold(ctx context.Context, path string) (string, error) {
	if err := touch(path + ".started"); err != nil {
		return "", err
	}
	if err := waitFor(ctx, path+".go"); err != nil {
		if err := touch(path + ".interrupted"); err != nil {
			return "", err
		}
		return "", err
	}
	return "released", nil
}

// busy computes until there is a file. What it computes is whether there is one.
func busy(path string) (string, error) {
	if err := touch(path + ".started"); err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(path + ".go"); err == nil {
			return "released", nil
		}
	}
}

func relay(ctx context.Context, pool, function string, args []any) (any, error) {
	client, _ := thornback.ClientFrom(ctx)
	var options []thornback.Option
	if pool != "" {
		options = append(options, thornback.InPool(pool))
	}
	task, err := thornback.NewTask[any](client, function, options...)
	if err != nil {
		return nil, err
	}
	result, err := task.Submit(ctx, args...)
	if err != nil {
		return nil, err
	}
	return result.Get(ctx)
}

func refs(ctx context.Context, n int) ([]thornback.Ref[int], error) {
	client, _ := thornback.ClientFrom(ctx)
	list := make([]thornback.Ref[int], n)
	for i := range list {
		ref, err := thornback.Put(ctx, client, i)
		if err != nil {
			return nil, err
		}
		list[i] = ref
	}
	return list, nil
}

func read(ctx context.Context, refs []thornback.Ref[any]) ([]any, error) {
	return thornback.GetAll(ctx, refs)
}

func count(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func countFail(n int, message string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range count(n) {
			if !yield(i, nil) {
				return
			}
		}
		yield(0, fail(message))
	}
}

func paced(path string, n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			_, err := appendLine(path, fmt.Sprint(i))
			if !yield(i, err) || err != nil {
				return
			}
		}
	}
}

// counter is the class conformance.Counter. Its calls may run at once where it is created so.
type counter struct {
	total atomic.Int64
	kept  []thornback.Ref[any]
}

func newCounter(start int64) *counter {
	c := &counter{}
	c.total.Store(start)
	return c
}

func (c *counter) Add(n int64) int64 { return c.total.Add(n) }

func (c *counter) Echo(x any) any { return x }

func (c *counter) Fail(message string) error { return fail(message) }

func (c *counter) Hold(ctx context.Context, path string) (string, error) { return hold(ctx, path) }

func (c *counter) Mark(path, text string) error { return mark(path, text) }

func (c *counter) Relay(ctx context.Context, pool, function string, args []any) (any, error) {
	return relay(ctx, pool, function, args)
}

func (c *counter) Count(n int) iter.Seq[int] { return count(n) }

func (c *counter) Die() { os.Exit(3) }

func (c *counter) Leave(ctx context.Context) error { return thornback.ExitActor(ctx) }

func (c *counter) Keep(refs []thornback.Ref[any]) { c.kept = refs }

func (c *counter) Recall(ctx context.Context) ([]any, error) { return read(ctx, c.kept) }

// broken is the class conformance.Broken, of which there is never an instance.
type broken struct{}

func newBroken(message string) (*broken, error) { return nil, fail(message) }

func (b *broken) Add(n int64) int64 { return n }

// together is the class conformance.Together.
type together struct{}

func (t *together) Meet(ctx context.Context, path, name string) (string, error) {
	if err := touch(path + "." + name); err != nil {
		return "", err
	}
	return name, waitFor(ctx, path+".go")
}
