package thornback

import (
	"context"
	"reflect"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

// inbox is what the node sends to a worker: runs that wait, runs that are under way, and what was declared. The session's reader fills it.
type inbox struct {
	link *link
	*Worker

	mu       sync.Mutex
	arrived  sync.Cond
	queue    []assignment
	declared map[uint32]*declared
	running  map[ID]*job
	over     bool

	base     context.Context
	actor    *ownActor
	class    *class
	instance reflect.Value
}

// declared is what the node will ask for by a number.
type declared struct {
	*pb.Declare
	function *function
	class    *class
	label    string
}

// assignment is a run, with what its number was declared as when it came: the node may declare the number anew while the run waits (TASK-001).
type assignment struct {
	wire.Run
	declared *declared
}

func newInbox(l *link, w *Worker) *inbox {
	in := &inbox{link: l, Worker: w, declared: map[uint32]*declared{}, running: map[ID]*job{}, base: context.Background()}
	in.arrived.L = &in.mu
	return in
}

func (in *inbox) handleRun(msg []byte) error {
	// The frame's bytes are reused.
	run, err := wire.ParseRun(slices.Clone(msg))
	if err != nil {
		return err
	}
	in.mu.Lock()
	in.queue = append(in.queue, assignment{run, in.declared[run.Declaration]})
	in.mu.Unlock()
	in.arrived.Signal()
	return nil
}

func (in *inbox) handle(op protowire.Number, msg []byte) error {
	switch op {
	case opDeclare:
		declare := &pb.Declare{}
		if err := proto.Unmarshal(msg, declare); err != nil {
			return err
		}
		name := declare.GetFunction()
		d := &declared{Declare: declare, function: in.functions[name], class: in.classes[name], label: declare.GetName()}
		if d.label == "" {
			d.label = name
		}
		in.mu.Lock()
		in.declared[declare.GetNumber()] = d
		in.mu.Unlock()
	case opRecall:
		var recall pb.Recall
		if err := proto.Unmarshal(msg, &recall); err != nil {
			return err
		}
		in.recall(recall.GetTasks())
	case opInterrupt:
		var interrupt pb.Interrupt
		if err := proto.Unmarshal(msg, &interrupt); err != nil {
			return err
		}
		in.interrupt(&interrupt)
	case opResume:
		var resume pb.Resume
		if err := proto.Unmarshal(msg, &resume); err != nil {
			return err
		}
		in.resume(&resume)
	}
	return nil
}

// recall gives back those of the tasks that have not started (WORKER-020).
func (in *inbox) recall(tasks [][]byte) {
	wanted := make(map[ID]struct{}, len(tasks))
	for _, task := range tasks {
		if id, ok := wire.ParseID(task); ok {
			wanted[id] = struct{}{}
		}
	}
	in.mu.Lock()
	var returned []assignment
	in.queue = slices.DeleteFunc(in.queue, func(run assignment) bool {
		_, back := wanted[run.Task]
		back = back && run.Setup == nil
		if back {
			returned = append(returned, run)
		}
		return back
	})
	in.mu.Unlock()
	answer := &pb.Returned{}
	for _, run := range returned {
		answer.Tasks = append(answer.Tasks, idBytes(run.Task))
		in.unpin(run.Args)
	}
	if err := in.link.postMessage(opReturned, answer); err != nil {
		in.link.notice(invalid("%v", err))
	}
}

// unpin releases what was pinned for arguments that nobody reads.
func (in *inbox) unpin(args []wire.Arg) {
	for _, arg := range args {
		if arg.Kind == wire.ArgStored && arg.Stored.Arena != 0 {
			in.link.releaseLater(arg.Object)
		}
	}
}

func (in *inbox) interrupt(interrupt *pb.Interrupt) {
	task, ok := wire.ParseID(interrupt.GetTask())
	if !ok {
		return
	}
	code := interrupt.GetCode()
	in.mu.Lock()
	at := slices.IndexFunc(in.queue, func(run assignment) bool { return run.Task == task && run.Attempt == interrupt.GetAttempt() })
	if at >= 0 {
		run := in.queue[at]
		in.queue = slices.Delete(in.queue, at, at+1)
		in.mu.Unlock()
		in.unpin(run.Args)
		in.answerFailure(&run.Run, interruption(code, "before it began").toFailure(0), 0)
		return
	}
	j := in.running[task]
	in.mu.Unlock()
	if j == nil || j.attempt != interrupt.GetAttempt() {
		return // Over already; its answer is on the way (WORKER-022).
	}
	j.interrupted.Store(code)
	j.end(interruption(code, "while it ran"))
}

func interruption(code uint32, when string) *Error {
	if Code(code) == CodeDeadlineExceeded {
		return failed(CodeDeadlineExceeded, "the task's deadline passed %s", when)
	}
	return &Error{Code: Code(code), Message: "the task was cancelled " + when}
}

func (in *inbox) resume(resume *pb.Resume) {
	task, _ := wire.ParseID(resume.GetTask())
	in.mu.Lock()
	j := in.running[task]
	in.mu.Unlock()
	if j != nil && j.attempt == resume.GetAttempt() && j.stream != nil {
		j.stream.resume(resume.GetConsumed())
	}
}

// end is called when the session is over.
func (in *inbox) end(*Error) {
	in.mu.Lock()
	in.over = true
	in.queue = nil
	in.mu.Unlock()
	in.arrived.Broadcast()
}

// next waits for a run, and makes it the one that runs. Before it waits, what is finished is sent. False when nothing more comes.
func (in *inbox) next() (run wire.Run, d *declared, j *job, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.queue) == 0 {
		if in.over || in.leaving() {
			return run, nil, nil, false
		}
		in.mu.Unlock()
		in.link.sess.Flush()
		in.mu.Lock()
		if len(in.queue) == 0 && !in.over && !in.leaving() {
			in.arrived.Wait()
		}
	}
	if in.over || in.leaving() {
		return run, nil, nil, false
	}
	run, d = in.queue[0].Run, in.queue[0].declared
	in.queue[0] = assignment{}
	in.queue = in.queue[1:]
	j = &job{link: in.link, task: run.Task, attempt: run.Attempt, actor: in.actor, base: in.base}
	if d != nil {
		j.label = d.label
		if d.GetReturns() < 0 {
			j.stream = &producer{window: uint64(d.GetStreamWindow()), wake: make(chan struct{}, 1)}
		}
	}
	in.running[run.Task] = j
	return run, d, j, true
}

func (in *inbox) leaving() bool { return in.actor != nil && in.actor.exiting.Load() }

// jobContext is the context of one task.
type jobContext struct {
	context.Context
	job *job
}

func (c jobContext) Value(key any) any {
	if _, ok := key.(jobKey); ok {
		return c.job
	}
	return c.Context.Value(key)
}
