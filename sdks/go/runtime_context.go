package thornback

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"

	"thornback.dev/go/internal/wire"
)

type jobKey struct{}

// job is a task or a call that this worker runs. Contexts made for it lead back to it.
type job struct {
	link    *link
	task    ID
	attempt uint32
	label   string
	actor   *ownActor
	// What its context is made from.
	base context.Context
	// Where its function is defined.
	where string
	// The code with which it was interrupted; 0 if it was not.
	interrupted atomic.Uint32

	mu      sync.Mutex
	blocked int
	over    bool
	// Why it is to end; nil while nobody wants that.
	ending error
	// Made when something asks for it: most functions do not.
	ctx    context.Context
	cancel context.CancelCauseFunc

	stream *producer
}

// ownActor is the actor that this worker is.
type ownActor struct {
	id       ID
	name     string
	class    string
	restarts int
	// Set once it wants to end.
	exiting atomic.Bool
}

// context is the task's, which is cancelled when the task is, and when it is over.
func (j *job) context() context.Context {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ctx == nil {
		ctx, cancel := context.WithCancelCause(j.base)
		j.ctx, j.cancel = jobContext{ctx, j}, cancel
		if j.over || j.ending != nil {
			cancel(j.ending)
		}
	}
	return j.ctx
}

// end cancels what runs.
func (j *job) end(why error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ending = why
	if j.cancel != nil {
		j.cancel(why)
	}
}

func jobOf(ctx context.Context) *job {
	j, _ := ctx.Value(jobKey{}).(*job)
	return j
}

// block says that the task of ctx waits for objects, if there is one, so that its CPU may be lent; the function that it gives says that it goes on.
func block(ctx context.Context, l *link) (unblock func()) {
	j := jobOf(ctx)
	if j == nil || j.link != l {
		return func() {}
	}
	// Several goroutines of a task may wait: it is blocked while any does.
	j.change(+1)
	return func() { j.change(-1) }
}

func (j *job) change(by int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	before := j.blocked
	j.blocked += by
	if j.over {
		return
	}
	op := protowire.Number(0)
	switch {
	case before == 0 && j.blocked == 1:
		op = opBlocked
	case before == 1 && j.blocked == 0:
		op = opUnblocked
	default:
		return
	}
	j.link.post(wire.AppendOp(nil, op, wire.AppendID(nil, 1, j.task)))
}

// finish is called before the answer: a goroutine that outlives the task says nothing more of it.
func (j *job) finish() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.over = true
	if j.cancel != nil {
		j.cancel(nil)
	}
}

// RuntimeContext is what a task or actor's method may know of itself.
type RuntimeContext struct {
	// Task is the id of the running task or call.
	Task ID
	// Attempt counts from 1, and is higher after each retry.
	Attempt int
	// Name is the function's, method's or class's, or what Label said.
	Name string
	// Node, Job and Namespace are those of the worker's session.
	Node, Job ID
	Namespace string
	// Actor is the id of the actor that this is; zero in a task.
	Actor ID
	// ActorName is its name, if it has one.
	ActorName string
	// Restarts is how often it was started before.
	Restarts int
}

// Running is what a running task knows of itself; false where ctx is no task's.
func Running(ctx context.Context) (RuntimeContext, bool) {
	j := jobOf(ctx)
	if j == nil {
		return RuntimeContext{}, false
	}
	client := Client{link: j.link}
	c := RuntimeContext{
		Task: j.task, Attempt: int(j.attempt), Name: j.label, Node: client.Node(), Job: client.Job(), Namespace: client.Namespace(),
	}
	if j.actor != nil {
		c.Actor, c.ActorName, c.Restarts = j.actor.id, j.actor.name, j.actor.restarts
	}
	return c, true
}

// ClientFrom is the worker's client in a running task, through which it submits tasks of its own, with the same ctx: so the node knows whose they are. It must not
// be closed. False where ctx is no task's.
func ClientFrom(ctx context.Context) (*Client, bool) {
	j := jobOf(ctx)
	if j == nil {
		return nil, false
	}
	return &Client{link: j.link, borrowed: true}, true
}

// Self is a handle of the actor that runs; false where ctx is no actor's call.
func Self(ctx context.Context) (*Actor, bool) {
	j := jobOf(ctx)
	if j == nil || j.actor == nil {
		return nil, false
	}
	h := new(handle)
	j.link.adopt([]foundRef{{j.actor.id, h}})
	return &Actor{h: h, class: j.actor.class}, true
}

// ErrNoActor is what ExitActor returns outside of an actor.
var ErrNoActor = errors.New("thornback: this is no call of an actor")

// ExitActor has the running actor end for good once the calls that run have returned; calls that wait fail with CodeActorDied. The running call completes as it
// returns.
func ExitActor(ctx context.Context) error {
	j := jobOf(ctx)
	if j == nil || j.actor == nil {
		return ErrNoActor
	}
	if !j.actor.exiting.Swap(true) {
		j.link.post(wire.AppendOp(nil, opActorExit, wire.AppendID(nil, 1, j.actor.id)))
	}
	return nil
}
