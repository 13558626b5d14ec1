package thornback_test

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	thornback "thornback.dev/go"
)

func TestATaskGivesItsResultAndTakesRefs(t *testing.T) {
	ctx, client := begin(t)
	add := task[int](t, client, "add")
	three := submit(t, ctx, add, 1, 2)
	want(t, ctx, submit(t, ctx, add, three, submit(t, ctx, add, three, 37)), 43)
	want(t, ctx, three, 3)
}

func TestValuesOfEveryKindCrossUnchanged(t *testing.T) {
	ctx, client := begin(t)
	echo := task[any](t, client, "echo")
	for _, v := range []any{
		nil, true, int64(-1), int64(1) << 62, uint64(1<<64 - 1), 1.5, "grüße", []byte{0, 255}, []any{int64(1), []any{}}, map[string]any{"a": nil},
		map[any]any{int64(1): "b"}, time.Unix(1, 2).UTC(), thornback.UUID{1}, thornback.Ext{Type: 70, Data: []byte{1}},
	} {
		got, err := submit(t, ctx, echo, v).Get(ctx)
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%#v came back as %#v, %v", v, got, err)
		}
	}
	want(t, ctx, submit(t, ctx, task[person](t, client, "echo_struct"), person{"Ada", 36}), person{"Ada", 37})
}

func TestSeveralResultsAndNone(t *testing.T) {
	ctx, client := begin(t)
	divide := task[int](t, client, "divide")
	refs, err := divide.SubmitN(ctx, 2, 17, 5)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := thornback.GetAll(ctx, refs); err != nil || got[0] != 3 || got[1] != 2 {
		t.Fatal(got, err)
	}
	if refs, err = divide.SubmitN(ctx, 3, 1, 1); err != nil {
		t.Fatal(err)
	}
	if e := wantCode(t, ctx, refs[0], thornback.CodeTaskFailed); !strings.Contains(e.Message, "wants 3") {
		t.Fatal(e)
	}
	bell := filepath.Join(t.TempDir(), "bell")
	if none, err := task[any](t, client, "ring").SubmitN(ctx, 0, bell); err != nil || len(none) != 0 {
		t.Fatal(none, err)
	}
	client.Flush()
	eventually(t, "a task without a result runs", func() bool { return rings(bell) == 1 })
	if v, err := submit(t, ctx, task[any](t, client, "nothing")).Get(ctx); v != nil || err != nil {
		t.Fatal(v, err)
	}
}

func TestArgumentsByNameAndAnyNumberOfThem(t *testing.T) {
	ctx, client := begin(t)
	want(t, ctx, submit(t, ctx, task[string](t, client, "join"), "-", "a", "b", "c"), "a-b-c")
	named := task[string](t, client, "named")
	want(t, ctx, submit(t, ctx, named, 1, thornback.Named("b", "two")), "1two1")
	if _, err := named.Submit(ctx, thornback.Named("b", 1), 2); !errors.Is(err, thornback.CodeInvalidArgument) {
		t.Fatal(err)
	}
	add := task[int](t, client, "add")
	wantCode(t, ctx, submit(t, ctx, add, 1), thornback.CodeWrongArity)
	wantCode(t, ctx, submit(t, ctx, add, 1, 2, thornback.Named("c", 3)), thornback.CodeWrongArity)
	if e := wantCode(t, ctx, submit(t, ctx, add, 1, "two"), thornback.CodeInvalidArgument); !strings.Contains(e.Message, "argument 1") {
		t.Fatal(e)
	}
}

func TestAFailureOfUserCodeKeepsTypeMessageStackAndCause(t *testing.T) {
	ctx, client := begin(t)
	e := wantCode(t, ctx, submit(t, ctx, task[any](t, client, "buy"), "milk"), thornback.CodeTaskFailed)
	if e.Message != "cannot buy: no milk left" || e.Language != "go" || !strings.Contains(e.Stack, "main_test.go") || e.Task.IsZero() {
		t.Fatalf("%+v", e)
	}
	if e.Cause == nil || !e.Cause.IsType("soldOut") || !e.Cause.IsType("thornback_test.soldOut") || e.Cause.IsType("Out") {
		t.Fatalf("%+v", e.Cause)
	}
	e = wantCode(t, ctx, submit(t, ctx, task[any](t, client, "panics")), thornback.CodeTaskFailed)
	if !e.IsType("panic") || !strings.Contains(e.Message, "index out of range") || !strings.Contains(e.Stack, "goroutine") {
		t.Fatalf("%+v", e)
	}
	e = wantCode(t, ctx, submit(t, ctx, task[any](t, client, "leaves")), thornback.CodeTaskFailed)
	if e.Message != "panic: left 7" {
		t.Fatal(e)
	}
	e = wantCode(t, ctx, submit(t, ctx, task[any](t, client, "nested_failure")), thornback.CodeTaskFailed)
	if !strings.HasPrefix(e.Message, "no breakfast") || e.Cause == nil || e.Cause.Message != "cannot buy: no bread left" || e.Cause.Task == e.Task {
		t.Fatalf("%+v", e)
	}
	if e.Cause.Cause == nil || !e.Cause.Cause.IsType("soldOut") {
		t.Fatalf("%+v", e.Cause)
	}
}

func TestBadCallsAreTypedErrors(t *testing.T) {
	ctx, client := begin(t)
	e := wantCode(t, ctx, submit(t, ctx, task[any](t, client, "no.such.function")), thornback.CodeFunctionNotFound)
	if !strings.Contains(e.Message, "no.such.function") {
		t.Fatal(e)
	}
	wantCode(t, ctx, submit(t, ctx, task[any](t, client, "unserializable")), thornback.CodeUnserializable)
	if _, err := task[any](t, client, "echo").Submit(ctx, func() {}); !errors.Is(err, thornback.CodeUnserializable) || !strings.Contains(err.Error(), "argument 0") {
		t.Fatal(err)
	}
	if _, err := submit(t, ctx, task[string](t, client, "add"), 1, 2).Get(ctx); !errors.Is(err, thornback.CodeInvalidArgument) {
		t.Fatal(err)
	}
	for _, option := range []thornback.Option{thornback.NumCPUs(-1), thornback.MaxRetries(-2), thornback.Deadline(0), thornback.MaxRestarts(1), thornback.NumCPUs(0.00001)} {
		if _, err := thornback.NewTask[any](client, "echo", option); !errors.Is(err, thornback.CodeInvalidArgument) {
			t.Error(err)
		}
	}
	var zero thornback.Ref[int]
	if _, err := zero.Get(ctx); !errors.Is(err, thornback.CodeInvalidArgument) {
		t.Fatal(err)
	}
}

func TestGetTimesOutAndLosesNothing(t *testing.T) {
	ctx, client := begin(t)
	path, open := gate(t)
	ref := submit(t, ctx, task[any](t, client, "wait_at"), filepath.Join(t.TempDir(), "bell"), path)
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err := ref.Get(short)
	if !errors.Is(err, thornback.CodeGetTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	cancelled, cancelNow := context.WithCancel(ctx)
	cancelNow()
	if _, err := ref.Get(cancelled); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	open()
	if _, err := ref.Get(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestGetAllGivesTheFirstFailureWithoutWaiting(t *testing.T) {
	ctx, client := begin(t)
	path, open := gate(t)
	defer open()
	slow := submit(t, ctx, task[any](t, client, "wait_at"), filepath.Join(t.TempDir(), "bell"), path)
	bad := submit(t, ctx, task[any](t, client, "buy"), "tea")
	if _, err := thornback.GetAll(ctx, []thornback.Ref[any]{slow, bad, slow}); !errors.Is(err, thornback.CodeTaskFailed) {
		t.Fatal(err)
	}
}

func TestWaitParts(t *testing.T) {
	ctx, client := begin(t)
	path, open := gate(t)
	slow := submit(t, ctx, task[any](t, client, "wait_at"), filepath.Join(t.TempDir(), "bell"), path)
	quick := submit(t, ctx, task[any](t, client, "echo"), 1)
	bad := submit(t, ctx, task[any](t, client, "buy"), "tea")
	refs := []thornback.Ref[any]{slow, quick, bad}
	ready, rest, err := thornback.Wait(ctx, refs, 2)
	if err != nil || len(ready) != 2 || ready[0].ID() != quick.ID() || ready[1].ID() != bad.ID() || len(rest) != 1 || rest[0].ID() != slow.ID() {
		t.Fatal(ready, rest, err)
	}
	ready, rest, err = thornback.Wait(ctx, refs, 3, thornback.WaitTimeout(5*time.Millisecond))
	if err != nil || len(ready) != 2 || len(rest) != 1 {
		t.Fatal(ready, rest, err)
	}
	for _, n := range []int{0, 4, -1} {
		if _, _, err := thornback.Wait(ctx, refs, n); !errors.Is(err, thornback.CodeInvalidArgument) {
			t.Fatal(n, err)
		}
	}
	if _, _, err := thornback.Wait(ctx, []thornback.Ref[any]{slow, slow}, 1); !errors.Is(err, thornback.CodeInvalidArgument) {
		t.Fatal(err)
	}
	if ready, rest, err := thornback.Wait(ctx, []thornback.Ref[any]{}, 1); err != nil || len(ready)+len(rest) != 0 {
		t.Fatal(err)
	}
	open()
	if ready, _, err = thornback.Wait(ctx, refs, 3); err != nil || len(ready) != 3 {
		t.Fatal(ready, err)
	}
}

func TestCancel(t *testing.T) {
	ctx, client := begin(t)
	t.Run("a running task sees its context", func(t *testing.T) {
		path, open := gate(t)
		defer open()
		bell := filepath.Join(t.TempDir(), "bell")
		ref := submit(t, ctx, task[any](t, client, "wait_at"), bell, path)
		client.Flush()
		eventually(t, "it began", func() bool { return rings(bell) == 1 })
		if err := ref.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		e := wantCode(t, ctx, ref, thornback.CodeCancelled)
		if !errors.Is(e, context.Canceled) {
			t.Fatal(e)
		}
	})
	t.Run("one that does not look gives its result", func(t *testing.T) {
		path, open := gate(t)
		bell := filepath.Join(t.TempDir(), "bell")
		ref := submit(t, ctx, task[int](t, client, "deaf"), bell, path)
		client.Flush()
		eventually(t, "it began", func() bool { return rings(bell) == 1 })
		if err := ref.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		open()
		want(t, ctx, ref, 5)
	})
	t.Run("force ends the worker", func(t *testing.T) {
		path, open := gate(t)
		defer open()
		bell := filepath.Join(t.TempDir(), "bell")
		ref := submit(t, ctx, task[int](t, client, "deaf"), bell, path)
		client.Flush()
		eventually(t, "it began", func() bool { return rings(bell) == 1 })
		if err := ref.Cancel(ctx, thornback.Force()); err != nil {
			t.Fatal(err)
		}
		wantCode(t, ctx, ref, thornback.CodeCancelled)
	})
	t.Run("one that waits never runs", func(t *testing.T) {
		path, open := gate(t)
		first := submit(t, ctx, task[any](t, client, "wait_at"), filepath.Join(t.TempDir(), "bell"), path)
		bell := filepath.Join(t.TempDir(), "bell")
		second := submit(t, ctx, task[any](t, client, "join"), bell, first)
		if err := second.Cancel(ctx, thornback.Recursive()); err != nil {
			t.Fatal(err)
		}
		wantCode(t, ctx, second, thornback.CodeCancelled)
		open()
		if _, err := first.Get(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

func TestADeadlineInterrupts(t *testing.T) {
	ctx, client := begin(t)
	path, open := gate(t)
	defer open()
	late := task[any](t, client, "wait_at", thornback.Deadline(50*time.Millisecond))
	e := wantCode(t, ctx, submit(t, ctx, late, filepath.Join(t.TempDir(), "bell"), path), thornback.CodeDeadlineExceeded)
	if !errors.Is(e, context.DeadlineExceeded) || !e.Timeout() {
		t.Fatal(e)
	}
}

func TestRetries(t *testing.T) {
	ctx, client := begin(t)
	file := func() string { return filepath.Join(t.TempDir(), "tries") }
	want(t, ctx, submit(t, ctx, task[int](t, client, "die_times"), file(), 2), 3)
	wantCode(t, ctx, submit(t, ctx, task[int](t, client, "die_times", thornback.MaxRetries(0)), file(), 1), thornback.CodeWorkerDied)
	wantCode(t, ctx, submit(t, ctx, task[int](t, client, "fail_times"), file(), 1), thornback.CodeTaskFailed)
	want(t, ctx, submit(t, ctx, task[int](t, client, "fail_times", thornback.RetryErrors()), file(), 2), 3)
	want(t, ctx, submit(t, ctx, task[int](t, client, "fail_times", thornback.RetryTypes("thornback_test.soldOut")), file(), 1), 2)
	wantCode(t, ctx, submit(t, ctx, task[int](t, client, "fail_times", thornback.RetryTypes("other.Type")), file(), 1), thornback.CodeTaskFailed)
}

func TestATaskThatWaitsLendsItsCPU(t *testing.T) {
	ctx, client := alone(t, thornback.NodeCPUs(1))
	want(t, ctx, submit(t, ctx, task[int](t, client, "factorial"), 6), 720)
}

func TestATaskKnowsItself(t *testing.T) {
	ctx, client := begin(t)
	got, err := submit(t, ctx, task[map[string]any](t, client, "whoami", thornback.Label("me"))).Get(ctx)
	if err != nil || got["ok"] != true || got["name"] != "me" || got["attempt"] != int64(1) || got["actor"] != false {
		t.Fatal(got, err)
	}
	if _, ok := thornback.Running(ctx); ok {
		t.Fatal("a driver is no task")
	}
	if err := thornback.ExitActor(ctx); !errors.Is(err, thornback.ErrNoActor) {
		t.Fatal(err)
	}
}

func TestManyTasksFromManyGoroutines(t *testing.T) {
	ctx, client := begin(t)
	add := task[int](t, client, "add")
	errs := make(chan error, 8)
	for g := range 8 {
		go func() {
			refs := make([]thornback.Ref[int], 500)
			for i := range refs {
				var err error
				if refs[i], err = add.Submit(ctx, g, i); err != nil {
					errs <- err
					return
				}
			}
			values, err := thornback.GetAll(ctx, refs)
			for i, v := range values {
				if v != g+i {
					err = errors.New("a task gave another's result")
				}
			}
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}
