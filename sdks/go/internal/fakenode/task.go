package fakenode

import (
	"slices"
	"time"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

// workersMax is how many tasks run at once, besides those that wait for others.
const workersMax = 4

// task is a task, an actor's creation, or a call of one.
type task struct {
	id, parent wire.ID
	from       *conn
	declare    *pb.Declare
	args       []*pb.Arg
	attempt    uint32
	// Where it runs, once it does.
	on       *conn
	finished bool
	// Of an actor's creation and its calls.
	target  wire.ID
	call    bool
	creates *actor
	// What was stored of its results.
	stored map[wire.ID][]byte
	// Of a stream: how many items were yielded, and whom to tell.
	yielded uint64
}

func (n *Node) submit(t *task) {
	t.attempt = 1
	t.stored = map[wire.ID][]byte{}
	if t.declare == nil {
		t.declare = &pb.Declare{Returns: 1}
		n.finish(t, failure(codeInvalidArgument, "the declaration is not known"))
		return
	}
	n.tasks[t.id] = t
	for i := range max(0, t.declare.GetReturns()) {
		o := n.object(t.id.WithIndex(uint32(i) + 1))
		o.watchers = append(o.watchers, t.from)
	}
	if ms := t.declare.GetDeadlineMs(); ms > 0 {
		n.after(time.Duration(ms)*time.Millisecond, func() { n.interrupt(t, codeDeadlineExceeded, "the task's deadline passed") })
	}
	if f := n.refusal(t); f != nil {
		n.finish(t, f)
		return
	}
	if t.call {
		a := n.actors[t.target]
		switch {
		case a == nil:
			n.finish(t, failure(codeActorNotFound, "no actor has this id"))
		case a.dead != nil:
			n.finish(t, a.dead)
		default:
			a.calls = append(a.calls, t)
		}
		return
	}
	n.queue = append(n.queue, t)
}

// refusal is what is wrong with a call before it is queued.
func (n *Node) refusal(t *task) *pb.Failure {
	if n.groups[idOf(t.declare.GetPlacementGroup())] {
		return failure(codeGroupRemoved, "the placement group was removed")
	}
	if t.call || len(n.functions) == 0 {
		return nil
	}
	f := n.functions[t.declare.GetFunction()]
	if f == nil {
		return failure(codeFunctionNotFound, "the worker of the test does not serve %q", t.declare.GetFunction())
	}
	positional := 0
	for _, arg := range t.args {
		if arg.GetKeyword() == "" {
			positional++
		}
	}
	if positional < int(f.GetMinArgs()) || f.GetMaxArgs() >= 0 && positional > int(f.GetMaxArgs()) {
		return failure(codeWrongArity, "%s was given %d arguments", f.GetName(), positional)
	}
	return nil
}

// dispatch gives workers what can run.
func (n *Node) dispatch() {
	if n.closed {
		return
	}
	var waiting []*task
	for _, t := range n.queue {
		if t.finished {
			continue
		}
		if !n.ready(t) || t.finished || !n.place(t) {
			if !t.finished {
				waiting = append(waiting, t)
			}
		}
	}
	n.queue = waiting
	for _, a := range n.actors {
		a.send(n)
	}
}

// ready reports whether all refs among the arguments are; one that failed fails the task.
func (n *Node) ready(t *task) bool {
	for _, arg := range t.args {
		ref, ok := arg.GetArg().(*pb.Arg_Ref)
		if !ok {
			continue
		}
		o := n.object(idOf(ref.Ref))
		switch {
		case !o.done:
			return false
		case o.failure != nil:
			n.finish(t, o.failure)
			return false
		}
	}
	return true
}

// place gives a task to an idle worker, or sees to it that there is one.
func (n *Node) place(t *task) bool {
	if len(n.functions) > 0 {
		if f := n.refusal(t); f != nil {
			n.finish(t, f)
			return false
		}
	}
	if len(n.idle) == 0 {
		busy := 0
		for c := range n.sessions {
			if c.worker && c.actor == nil && !c.blocked() {
				busy++
			}
		}
		if n.starting == 0 && (busy < workersMax || t.creates != nil) {
			n.startWorker()
		}
		return false
	}
	c := n.idle[len(n.idle)-1]
	n.idle = n.idle[:len(n.idle)-1]
	if t.creates != nil {
		c.actor = t.creates
		t.creates.on = c
	}
	n.run(c, t)
	return true
}

// blocked reports whether what a worker runs has submitted tasks that are not over: it may be waiting for them, so another one may run.
func (c *conn) blocked() bool {
	for _, t := range c.node.tasks {
		if t.from == c && !t.finished {
			return true
		}
	}
	return false
}

func (n *Node) run(c *conn, t *task) {
	number, told := c.told[t.declare]
	if !told {
		number = uint32(len(c.told)) + 1
		c.told[t.declare] = number
		declare := &pb.Declare{
			Number: number, Function: t.declare.GetFunction(), Returns: t.declare.GetReturns(), Name: t.declare.GetName(), StreamWindow: t.declare.GetStreamWindow(),
		}
		c.send(&pb.ServerOp{Op: &pb.ServerOp_Declare{Declare: declare}})
	}
	t.on = c
	c.runs[t.id] = t
	run := &pb.Run{Task: t.id[:], Attempt: t.attempt, Declaration: number}
	if t.call || t.creates != nil {
		run.Actor = t.target[:]
	}
	if t.creates != nil {
		o := t.creates.options
		run.Setup = &pb.ActorSetup{MaxConcurrency: o.GetMaxConcurrency(), Asynchronous: o.GetAsynchronous(), Name: o.GetName()}
	}
	for _, arg := range t.args {
		given := &pb.Arg{Arg: arg.GetArg(), Keyword: arg.GetKeyword()}
		if ref, ok := arg.GetArg().(*pb.Arg_Ref); ok {
			if o := n.object(idOf(ref.Ref)); o.stored != nil {
				given.Arg = &pb.Arg_Stored{Stored: &pb.Stored{Object: ref.Ref, Location: &pb.Location{Size: uint64(len(o.stored))}}}
			} else {
				given.Arg = &pb.Arg_Value{Value: o.value}
			}
		}
		run.Args = append(run.Args, given)
	}
	c.send(&pb.ServerOp{Op: &pb.ServerOp_Run{Run: run}})
}

// done takes the answer of a worker.
func (n *Node) done(c *conn, done *pb.Done) {
	t := c.runs[idOf(done.GetTask())]
	if t == nil || t.attempt != done.GetAttempt() {
		return
	}
	delete(c.runs, t.id)
	if c.actor == nil {
		n.idle = append(n.idle, c)
	}
	f := done.GetFailure()
	if t.creates != nil {
		if f != nil {
			dead := failure(codeActorDied, "the actor could not be created: %s", f.GetMessage())
			dead.Cause = f
			n.actorDied(t.creates, dead)
		}
		t.creates.alive = f == nil
		t.finished = true
		return
	}
	if f != nil && t.retries(f) {
		t.attempt++
		if !t.call {
			n.queue = append(n.queue, t)
			return
		}
	}
	if f != nil || t.declare.GetReturns() < 0 {
		n.finish(t, f)
		return
	}
	t.finished = true
	for i, result := range done.GetResults() {
		id := t.id.WithIndex(uint32(i) + 1)
		n.complete(id, result.GetValue(), t.stored[id], nil)
	}
	n.finish(t, failure(33, "the task gave fewer results than were asked for"))
}

// retries reports whether a failure of user code is to be tried again.
func (t *task) retries(f *pb.Failure) bool {
	if t.call || t.finished || f.GetCode() != codeTaskFailed || t.declare.GetReturns() < 0 {
		return false
	}
	left := t.declare.GetMaxRetries() < 0 || int32(t.attempt) <= t.declare.GetMaxRetries()
	meets := slices.ContainsFunc(f.GetTypes(), func(name string) bool { return slices.Contains(t.declare.GetRetryTypes(), name) })
	return left && (t.declare.GetRetryExceptions() || meets)
}

// finish completes whatever a task has not completed yet, or ends its stream.
func (n *Node) finish(t *task, f *pb.Failure) {
	t.finished = true
	delete(n.tasks, t.id)
	if t.declare.GetReturns() < 0 {
		t.from.send(&pb.ServerOp{Op: &pb.ServerOp_StreamEnd{StreamEnd: &pb.StreamEnd{Task: t.id[:], Count: t.yielded, Failure: f}}})
		return
	}
	for i := range t.declare.GetReturns() {
		n.complete(t.id.WithIndex(uint32(i)+1), nil, nil, f)
	}
}

func (n *Node) yield(c *conn, yield *pb.Yield) {
	t := c.runs[idOf(yield.GetTask())]
	if t == nil || t.finished {
		return
	}
	t.yielded++
	id := t.id.WithIndex(uint32(yield.GetIndex()) + 1)
	o := n.object(id)
	o.watchers = append(o.watchers, t.from)
	n.complete(id, yield.GetItem().GetValue(), t.stored[id], nil)
}

func (n *Node) consumed(consumed *pb.Consumed) {
	if t := n.tasks[idOf(consumed.GetTask())]; t != nil && t.on != nil {
		t.on.send(&pb.ServerOp{Op: &pb.ServerOp_Resume{Resume: &pb.Resume{Task: consumed.GetTask(), Attempt: t.attempt, Consumed: consumed.GetCount()}}})
	}
}

// drop ends the streams among what a session gives up. Objects stay: a test is short.
func (n *Node) drop(ids [][]byte) {
	for _, b := range ids {
		if t := n.tasks[idOf(b)]; t != nil && t.declare.GetReturns() < 0 {
			n.interrupt(t, codeCancelled, "the stream was closed")
		}
	}
}

func (n *Node) cancel(c *conn, cancel *pb.Cancel, index uint32) {
	t := n.tasks[idOf(cancel.GetId()).WithIndex(0)]
	if t == nil {
		return
	}
	if cancel.GetForce() && t.call {
		c.refuse(index, failure(codeInvalidArgument, "a call of an actor cannot be forced to end"))
		return
	}
	n.interrupt(t, codeCancelled, "the task was cancelled")
	if cancel.GetForce() && !t.finished {
		n.finish(t, failure(codeCancelled, "the task was cancelled by force"))
	}
	if cancel.GetRecursive() {
		for _, child := range n.tasks {
			if child.parent == t.id {
				n.cancel(c, &pb.Cancel{Id: child.id[:], Recursive: true}, index)
			}
		}
	}
}

// interrupt has a task fail if it has not begun, else asks its worker to end it.
func (n *Node) interrupt(t *task, code uint32, why string) {
	switch {
	case t.finished:
	case t.on == nil:
		n.finish(t, failure(code, "%s before it began", why))
	default:
		t.on.send(&pb.ServerOp{Op: &pb.ServerOp_Interrupt{Interrupt: &pb.Interrupt{Task: t.id[:], Attempt: t.attempt, Code: code}}})
	}
}
