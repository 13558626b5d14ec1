package thornback

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"thornback.dev/go/internal/inside"
	"thornback.dev/go/internal/pb"
)

const (
	defaultPool = "go"
	// How long user code that runs when the session is over may take to notice, before Serve returns without it.
	leaveTimeout = 200 * time.Millisecond
	// How long a worker that ends by itself waits for its node to take its last words.
	settleTimeout = time.Second
)

// Worker serves functions and actors: register them, then Serve. Everything is registered before Serve, from one goroutine.
//
// Tasks run one at a time, as the protocol wants it; calls of an actor likewise, or as many at once as its MaxConcurrency says. A task that is cancelled, or past
// its deadline, has its context cancelled: a function that does not look at its context runs on. A panic in the goroutine that a task was begun in fails that
// task alone; one in a goroutine that user code started ends the process, as always in Go.
type Worker struct {
	functions map[string]*function
	classes   map[string]*class
	names     []string
	errs      []error
	pool      string
	address   string
}

// WorkerOption changes how a worker finds its node.
type WorkerOption func(*Worker)

// WorkerPool is the pool that a worker belongs to, where its environment does not say. The default is "go".
func WorkerPool(name string) WorkerOption { return func(w *Worker) { w.pool = name } }

// WorkerAddress is the node to dial, where the environment does not say: for workers that no node starts. See Dial.
func WorkerAddress(address string) WorkerOption { return func(w *Worker) { w.address = address } }

// NewWorker makes a worker that serves nothing yet.
func NewWorker(options ...WorkerOption) *Worker {
	w := &Worker{functions: map[string]*function{}, classes: map[string]*class{}, pool: defaultPool}
	for _, option := range options {
		option(w)
	}
	return w
}

// IsWorker reports whether this process was started by a node, to serve. For programs that are driver and worker at once; see ThisProgram.
func IsWorker() bool { return os.Getenv(envLaunch) != "" }

// Register serves a function under a name that is called from any language, as "images.resize".
//
// It may take a context.Context first, then its arguments, the last of them variadic if it likes, and Keywords at the very end for those given by name. It may
// give any number of results, and an error last. A stream is an iter.Seq, an iter.Seq2 whose second half is an error, or a slice. What cannot be
// served is told by Serve.
func (w *Worker) Register(name string, fn any) {
	f, err := newFunction(name, fn)
	if err != nil {
		w.errs = append(w.errs, err)
		return
	}
	if w.take(name) {
		w.functions[name] = f
	}
}

// RegisterActor serves a class under a name. `constructor` takes what a function takes and gives the instance, with an error behind it if it likes. Its exported
// methods can be called, by their names as they are, or in other languages' spelling: GetTotal is also get_total and getTotal. What they take and
// give is as for Register.
func (w *Worker) RegisterActor(name string, constructor any) {
	c, err := newClass(name, constructor)
	if err != nil {
		w.errs = append(w.errs, err)
		return
	}
	if w.take(name) {
		w.classes[name] = c
	}
}

func (w *Worker) take(name string) bool {
	if name == "" || w.functions[name] != nil || w.classes[name] != nil {
		w.errs = append(w.errs, invalid("%q is registered twice, or is no name", name))
		return false
	}
	w.names = append(w.names, name)
	return true
}

// announce is what the hello says of it, in the order of registration.
func (w *Worker) announce() []*pb.Function {
	var all []*pb.Function
	for _, name := range w.names {
		f, actor := w.functions[name], false
		if f == nil {
			f, actor = w.classes[name].constructor, true
		}
		all = append(all, &pb.Function{
			Name: name, MinArgs: uint32(f.minArgs()), MaxArgs: int32(f.maxArgs()), Actor: actor, Signature: f.contract.signature(),
		})
	}
	return all
}

// Serve finds the node through the environment that it started this process with, and serves until the session ends: the node stops, does not need this worker
// any more, or is gone; or ctx is done. Then the process should end too. The error says what was registered wrongly, or why the node refused.
func (w *Worker) Serve(ctx context.Context) error {
	address := os.Getenv(envAddress)
	if address == "" {
		address = w.address
	}
	if err := errors.Join(w.errs...); err != nil {
		return err
	}
	if address == "" {
		return invalid("no node is known: %s is not set, and WorkerAddress was not given", envAddress)
	}
	launch, err := launchNumber()
	if err != nil {
		return err
	}
	token, err := readToken("")
	if err != nil {
		return err
	}
	dial, err := dialer(address, token)
	if err != nil {
		return err
	}
	hello := newHello(pb.Role_ROLE_WORKER, address, token)
	hello.Launch, hello.Pool = launch, w.pool
	if pool := os.Getenv(envPool); pool != "" {
		hello.Pool = pool
	}
	return w.serveOver(ctx, dial, hello)
}

// serveOver serves a session that dial connects.
func (w *Worker) serveOver(ctx context.Context, dial inside.Dial, hello *pb.Hello) error {
	if err := errors.Join(w.errs...); err != nil {
		return err
	}
	hello.Functions = w.announce()
	l := newLink()
	l.onNotice = printNotice
	in := newInbox(l, w)
	l.worker = in
	if err := l.open(ctx, dial, hello); err != nil {
		return err
	}
	return in.serve(ctx)
}

func launchNumber() (uint64, error) {
	text := os.Getenv(envLaunch)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalid("%s is %q, which is no number", envLaunch, text)
	}
	return n, nil
}

// serve runs what comes until the session ends.
func (in *inbox) serve(ctx context.Context) error {
	base, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in.base = base
	in.link.sess.Start()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		in.run()
	}()
	var end error
	select {
	case <-finished: // An actor that is over, or could not be made. That it is must not be lost with a connection.
		in.link.sess.Settle(settleTimeout)
	case <-in.link.sess.Done():
		end = in.link.ended()
	case <-ctx.Done():
	}
	in.link.sess.Close()
	cancel(failed(CodeConnectionLost, "the worker's session is over"))
	select {
	case <-finished:
	case <-time.After(leaveTimeout):
	}
	if end == nil || errors.Is(end, CodeShuttingDown) || errors.Is(end, CodeConnectionLost) {
		return nil
	}
	return fmt.Errorf("thornback: the node ended the session: %w", end)
}
