package thornbacktest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	thornback "thornback.dev/go"
	"thornback.dev/go/thornbacktest"
)

type tally struct{ n int }

func (t *tally) Add(n int) int { t.n += n; return t.n }
func (t *tally) Leave(ctx context.Context) (int, error) {
	return t.n, thornback.ExitActor(ctx)
}
func (t *tally) Wait(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }

var tries atomic.Int32

func worker() *thornback.Worker {
	w := thornback.NewWorker()
	w.Register("add", func(a, b int) int { return a + b })
	w.Register("fail", func() error { return thornback.NewError("shop.SoldOut", "no bread", nil) })
	w.Register("third_time", func() (int, error) {
		if n := tries.Add(1); n < 3 {
			return 0, errors.New("not yet")
		}
		return 3, nil
	})
	w.Register("count", func(n int) iter.Seq[int] {
		return func(yield func(int) bool) {
			for i := range n {
				if !yield(i) {
					return
				}
			}
		}
	})
	w.Register("wait", func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
	w.Register("echo", func(b []byte) []byte { return b })
	w.Register("both", func(a int) (int, string) { return a, fmt.Sprint(a) })
	w.Register("fib", fib)
	w.RegisterActor("Tally", func(n int) (*tally, error) {
		if n < 0 {
			return nil, errors.New("nothing to count")
		}
		return &tally{n}, nil
	})
	return w
}

func fib(ctx context.Context, n int) (int, error) {
	if n < 2 {
		return n, nil
	}
	client, _ := thornback.ClientFrom(ctx)
	task, err := thornback.NewTask[int](client, "fib")
	if err != nil {
		return 0, err
	}
	var refs []thornback.Ref[int]
	for _, m := range []int{n - 1, n - 2} {
		ref, err := task.Submit(ctx, m)
		if err != nil {
			return 0, err
		}
		refs = append(refs, ref)
	}
	both, err := thornback.GetAll(ctx, refs)
	if err != nil {
		return 0, err
	}
	return both[0] + both[1], nil
}

func begin(t *testing.T) (context.Context, *thornback.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx, thornbacktest.New(t, worker())
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func submit[T any](t testing.TB, ctx context.Context, c *thornback.Client, name string, args ...any) thornback.Ref[T] {
	t.Helper()
	return must(must(thornback.NewTask[T](c, name))(t).Submit(ctx, args...))(t)
}

func TestTasks(t *testing.T) {
	ctx, c := begin(t)
	three := submit[int](t, ctx, c, "add", 1, 2)
	if got := must(submit[int](t, ctx, c, "add", three, 4).Get(ctx))(t); got != 7 {
		t.Fatal(got)
	}
	if got := must(submit[int](t, ctx, c, "fib", 8).Get(ctx))(t); got != 21 {
		t.Fatal(got)
	}
	refs := must(must(thornback.NewTask[any](c, "both"))(t).SubmitN(ctx, 2, 5))(t)
	if got := must(thornback.GetAll(ctx, refs))(t); got[0] != int64(5) || got[1] != "5" {
		t.Fatal(got)
	}
	retried := must(thornback.NewTask[int](c, "third_time", thornback.RetryErrors()))(t)
	if got := must(must(retried.Submit(ctx))(t).Get(ctx))(t); got != 3 {
		t.Fatal(got)
	}
}

func TestFailures(t *testing.T) {
	ctx, c := begin(t)
	_, err := submit[any](t, ctx, c, "fail").Get(ctx)
	var e *thornback.Error
	if !errors.As(err, &e) || e.Code != thornback.CodeTaskFailed || !e.IsType("SoldOut") {
		t.Fatal(err)
	}
	dependent := submit[any](t, ctx, c, "add", submit[any](t, ctx, c, "fail"), 1)
	if _, err := dependent.Get(ctx); !errors.As(err, &e) || !e.IsType("SoldOut") {
		t.Fatal(err)
	}
	for name, code := range map[string]thornback.Code{"add": thornback.CodeWrongArity, "nobody": thornback.CodeFunctionNotFound} {
		if _, err := submit[any](t, ctx, c, name).Get(ctx); !errors.Is(err, code) {
			t.Fatal(name, err)
		}
	}
	waiting := submit[any](t, ctx, c, "wait")
	if err := waiting.Cancel(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := waiting.Get(ctx); !errors.Is(err, thornback.CodeCancelled) {
		t.Fatal(err)
	}
	late := must(thornback.NewTask[any](c, "wait", thornback.Deadline(time.Millisecond)))(t)
	if _, err := must(late.Submit(ctx))(t).Get(ctx); !errors.Is(err, thornback.CodeDeadlineExceeded) {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if _, err := submit[any](t, ctx, c, "wait").Get(short); !errors.Is(err, thornback.CodeGetTimeout) {
		t.Fatal(err)
	}
}

func TestObjectsSmallAndLarge(t *testing.T) {
	ctx, c := begin(t)
	for _, n := range []int{10, 3 << 20} {
		data := bytes.Repeat([]byte{7}, n)
		ref := must(thornback.Put(ctx, c, data))(t)
		if got := must(submit[[]byte](t, ctx, c, "echo", ref).Get(ctx))(t); !bytes.Equal(got, data) {
			t.Fatal(len(got))
		}
	}
}

func TestStreams(t *testing.T) {
	ctx, c := begin(t)
	task := must(thornback.NewTask[int](c, "count", thornback.StreamWindow(2)))(t)
	var got []int
	for v, err := range must(task.Stream(ctx, 10))(t).All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Fatal(got)
	}
	endless := must(task.Stream(ctx, 1<<30))(t)
	if _, more, err := endless.Next(ctx); !more || err != nil {
		t.Fatal(more, err)
	}
	endless.Close()
}

func TestActors(t *testing.T) {
	ctx, c := begin(t)
	class := must(thornback.NewClass(c, "Tally", thornback.ActorName("one")))(t)
	actor := must(class.Create(ctx, 10))(t)
	call := func(a *thornback.Actor, method string, args ...any) (int, error) {
		return must(thornback.Call[int](ctx, a, method, args...))(t).Get(ctx)
	}
	if got := must(call(actor, "add", 5))(t); got != 15 {
		t.Fatal(got)
	}
	if _, err := class.Create(ctx, 1); !errors.Is(err, thornback.CodeActorNameTaken) {
		t.Fatal(err)
	}
	found := must(c.GetActor(ctx, "one", ""))(t)
	if got := must(call(found, "leave"))(t); got != 15 {
		t.Fatal(got)
	}
	if _, err := call(actor, "add", 1); !errors.Is(err, thornback.CodeActorDied) {
		t.Fatal(err)
	}
	anonymous := must(thornback.NewClass(c, "Tally"))(t)
	killed := must(anonymous.Create(ctx, 1))(t)
	running := must(thornback.Call[int](ctx, killed, "wait"))(t)
	if err := killed.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := running.Get(ctx); !errors.Is(err, thornback.CodeActorDied) {
		t.Fatal(err)
	}
	var e *thornback.Error
	if _, err := call(must(anonymous.Create(ctx, -1))(t), "add", 1); !errors.As(err, &e) || e.Code != thornback.CodeActorDied || e.Cause == nil {
		t.Fatal(err)
	}
}

func TestTheEndOfATestEndsItsRuntime(t *testing.T) {
	var client *thornback.Client
	t.Run("inner", func(t *testing.T) {
		ctx, c := begin(t)
		submit[any](t, ctx, c, "wait")
		client = c
	})
	<-client.Done()
	if !errors.Is(client.Err(), thornback.CodeConnectionLost) {
		t.Fatal(client.Err())
	}
}

func ExampleNew() {
	// In a test, t is its *testing.T.
	var t testing.TB = quiet{}
	worker := thornback.NewWorker()
	worker.Register("shout", func(text string) string { return text + "!" })
	client := thornbacktest.New(t, worker)
	defer client.Close()

	ctx := context.Background()
	shout, err := thornback.NewTask[string](client, "shout")
	if err != nil {
		panic(err)
	}
	ref, err := shout.Submit(ctx, "hello")
	if err != nil {
		panic(err)
	}
	fmt.Println(ref.Get(ctx))
	// Output: hello! <nil>
}

// quiet stands in for a test where there is none.
type quiet struct{ testing.TB }

func (quiet) Helper()        {}
func (quiet) Cleanup(func()) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}
