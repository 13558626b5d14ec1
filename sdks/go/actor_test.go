package thornback_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	thornback "thornback.dev/go"
)

func TestAnActorKeepsStateAndOrder(t *testing.T) {
	ctx, client := begin(t)
	actor := create(t, ctx, client, "Counter", nil, 100)
	add, err := thornback.NewMethod[int](actor, "add")
	if err != nil {
		t.Fatal(err)
	}
	var refs []thornback.Ref[int]
	for i := range 200 {
		ref, err := add.Call(ctx, i)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	values, err := thornback.GetAll(ctx, refs)
	if err != nil || values[0] != 100 || values[199] != 100+199*200/2 {
		t.Fatal(values, err)
	}
	for _, name := range []string{"GetHistory", "get_history", "getHistory"} {
		history, err := call[[]int](t, ctx, actor, name).Get(ctx)
		if err != nil || len(history) != 200 || history[7] != 7 {
			t.Fatal(name, history, err)
		}
	}
	want(t, ctx, call[bool](t, ctx, actor, "self"), true)
	if e := wantCode(t, ctx, call[any](t, ctx, actor, "fail"), thornback.CodeTaskFailed); !e.IsType("soldOut") || e.Actor != actor.ID() {
		t.Fatalf("%+v", e)
	}
	wantCode(t, ctx, call[any](t, ctx, actor, "no_such"), thornback.CodeFunctionNotFound)
	wantCode(t, ctx, call[any](t, ctx, actor, "add"), thornback.CodeWrongArity)
	want(t, ctx, call[int](t, ctx, actor, "add", 0), 100+199*200/2)
	m, err := thornback.NewMethod[int](actor, "up_to")
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Stream(ctx, 5)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for v, err := range s.All(ctx) {
		if err != nil || v != n {
			t.Fatal(v, err)
		}
		n++
	}
	if n != 5 {
		t.Fatal(n)
	}
}

func TestNamedActors(t *testing.T) {
	ctx, client := begin(t)
	named := []thornback.Option{thornback.ActorName("the counter"), thornback.ActorNamespace("here")}
	actor := create(t, ctx, client, "Counter", named, 1)
	class, err := thornback.NewClass(client, "Counter", named...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := class.Create(ctx, 2); !errors.Is(err, thornback.CodeActorNameTaken) {
		t.Fatal(err)
	}
	same := create(t, ctx, client, "Counter", append(named, thornback.GetIfExists()), 3)
	if same.ID() != actor.ID() {
		t.Fatal(same, actor)
	}
	found, err := client.GetActor(ctx, "the counter", "here")
	if err != nil || found.ID() != actor.ID() || found.Class() != "Counter" {
		t.Fatal(found, err)
	}
	want(t, ctx, call[int](t, ctx, found, "add", 1), 2)
	if _, err := client.GetActor(ctx, "the counter", "elsewhere"); !errors.Is(err, thornback.CodeActorNotFound) {
		t.Fatal(err)
	}
	list, err := client.ListActors(ctx, true)
	if err != nil || len(list) == 0 || list[0].ID != actor.ID() || list[0].Name != "the counter" {
		t.Fatal(list, err)
	}
	if err := found.Kill(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, ctx, call[int](t, ctx, actor, "add", 1), thornback.CodeActorDied)
	eventually(t, "the name is free", func() bool {
		_, err := client.GetActor(ctx, "the counter", "here")
		return errors.Is(err, thornback.CodeActorNotFound)
	})
}

func TestAnActorThatCannotBeMadeFailsItsCalls(t *testing.T) {
	ctx, client := begin(t)
	e := wantCode(t, ctx, call[any](t, ctx, create(t, ctx, client, "Unmakeable", nil), "add", 1), thornback.CodeActorDied)
	if e.Cause == nil || !e.Cause.IsType("soldOut") {
		t.Fatalf("%+v, cause %+v", e, e.Cause)
	}
	wantCode(t, ctx, call[any](t, ctx, create(t, ctx, client, "no.such.Class", nil), "add", 1), thornback.CodeActorDied)
}

func TestAnActorIsRestartedAsOftenAsItMay(t *testing.T) {
	ctx, client := begin(t)
	actor := create(t, ctx, client, "Counter", []thornback.Option{thornback.MaxRestarts(1)}, 5)
	want(t, ctx, call[int](t, ctx, actor, "add", 1), 6)
	if _, err := call[any](t, ctx, actor, "die").Get(ctx); !errors.Is(err, thornback.CodeActorUnavailable) {
		t.Fatal(err)
	}
	want(t, ctx, call[int](t, ctx, actor, "add", 1), 6)
	if _, err := call[any](t, ctx, actor, "die").Get(ctx); !errors.Is(err, thornback.CodeActorDied) {
		t.Fatal(err)
	}
	wantCode(t, ctx, call[int](t, ctx, actor, "add", 1), thornback.CodeActorDied)
}

func TestAnActorEndsItself(t *testing.T) {
	ctx, client := begin(t)
	actor := create(t, ctx, client, "Counter", nil, 0)
	want(t, ctx, call[string](t, ctx, actor, "leave"), "bye")
	wantCode(t, ctx, call[int](t, ctx, actor, "add", 1), thornback.CodeActorDied)
}

func TestCallsRunAtOnceAsOptionsSay(t *testing.T) {
	ctx, client := begin(t)
	actor := create(t, ctx, client, "Counter", []thornback.Option{thornback.MaxConcurrency(3)}, 0)
	var refs []thornback.Ref[any]
	for range 3 {
		refs = append(refs, call[any](t, ctx, actor, "meet", 3))
	}
	if _, err := thornback.GetAll(ctx, refs); err != nil {
		t.Fatal(err)
	}
}

func TestPendingCallsHaveALimit(t *testing.T) {
	ctx, client := begin(t)
	actor := create(t, ctx, client, "Counter", []thornback.Option{thornback.MaxPendingCalls(2)}, 0)
	path, open := gate(t)
	defer open()
	bell := filepath.Join(t.TempDir(), "bell")
	first := call[any](t, ctx, actor, "wait_at", bell, path)
	second := call[any](t, ctx, actor, "wait_at", bell, path)
	wantCode(t, ctx, call[int](t, ctx, actor, "add", 1), thornback.CodePendingCallsLimit)
	open()
	if _, err := thornback.GetAll(ctx, []thornback.Ref[any]{first, second}); err != nil {
		t.Fatal(err)
	}
}

func TestACallOfAnActorIsCancelled(t *testing.T) {
	ctx, client := begin(t)
	actor := create(t, ctx, client, "Counter", nil, 0)
	path, open := gate(t)
	defer open()
	bell := filepath.Join(t.TempDir(), "bell")
	ref := call[any](t, ctx, actor, "wait_at", bell, path)
	behind := call[int](t, ctx, actor, "add", 1)
	client.Flush()
	eventually(t, "it began", func() bool { return rings(bell) == 1 })
	if err := ref.Cancel(ctx, thornback.Force()); !errors.Is(err, thornback.CodeInvalidArgument) {
		t.Fatal(err)
	}
	if err := ref.Cancel(ctx); err != nil {
		t.Fatal(err)
	}
	wantCode(t, ctx, ref, thornback.CodeCancelled)
	want(t, ctx, behind, 1)
}

func TestAKilledActorFailsWhatRuns(t *testing.T) {
	ctx, client := begin(t)
	actor := create(t, ctx, client, "Counter", nil, 0)
	path, open := gate(t)
	bell := filepath.Join(t.TempDir(), "bell")
	ref := call[any](t, ctx, actor, "wait_at", bell, path)
	client.Flush()
	eventually(t, "it began", func() bool { return rings(bell) == 1 })
	if err := actor.Kill(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, ctx, ref, thornback.CodeActorDied)
	graceful := create(t, ctx, client, "Counter", nil, 0)
	running := call[any](t, ctx, graceful, "wait_at", bell, path)
	queued := call[int](t, ctx, graceful, "add", 4)
	if err := graceful.Kill(thornback.Graceful()); err != nil {
		t.Fatal(err)
	}
	late := call[int](t, ctx, graceful, "add", 4)
	open()
	if _, err := running.Get(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, ctx, queued, 4)
	wantCode(t, ctx, late, thornback.CodeActorDied)
}

func TestHandlesTravel(t *testing.T) {
	ctx, client := begin(t)
	actor := create(t, ctx, client, "Counter", nil, 10)
	back, err := submit(t, ctx, task[map[string]*thornback.Actor](t, client, "echo"), map[string]any{"actor": actor}).Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if back["actor"].ID() != actor.ID() {
		t.Fatal(back)
	}
	actor.Close()
	want(t, ctx, call[int](t, ctx, back["actor"], "add", 1), 11)
	if _, err := thornback.Call[int](ctx, actor, "add", 1); !errors.Is(err, thornback.CodeInvalidArgument) {
		t.Fatal(err)
	}
}

func TestAnActorWithoutHandlesEnds(t *testing.T) {
	ctx, client := alone(t, thornback.NodeCPUs(1))
	actor := create(t, ctx, client, "Counter", nil, 10)
	want(t, ctx, call[int](t, ctx, actor, "add", 1), 11)
	actor.Close()
	eventually(t, "the actor ends", func() bool {
		status, err := client.Status(context.Background())
		return err == nil && status.Actors == 0
	})
}
