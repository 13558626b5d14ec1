// Package fakenode is a node inside the process, for users' own tests: it speaks the protocol with real sessions of this SDK, and runs everything in
// workers that are goroutines.
//
// It has no resources, no store, no processes and no limits, keeps every object until it is closed, and retries only failures of user code.
package fakenode

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/inside"
	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/session"
	"thornback.dev/go/internal/wire"
)

// Codes of protocol/errors/codes.yaml.
const (
	codeUnknownOperation = 3
	codeInvalidArgument  = 2
	codeFunctionNotFound = 20
	codeWrongArity       = 21
	codeTaskFailed       = 24
	codeCancelled        = 25
	codeDeadlineExceeded = 26
	codeActorDied        = 40
	codeNameTaken        = 42
	codeActorNotFound    = 43
	codeObjectNotFound   = 52
	codeGroupRemoved     = 60
	codeShuttingDown     = 14
)

// inlineBytes is the limit of real nodes, so that tests meet the same paths.
const inlineBytes = 100 << 10

// Node is safe for concurrent use: all that arrives is handled under one lock, in its order.
type Node struct {
	worker    any
	functions map[string]*pb.Function

	mu       sync.Mutex
	closed   bool
	ids      uint32
	sessions map[*conn]struct{}
	objects  map[wire.ID]*object
	tasks    map[wire.ID]*task
	actors   map[wire.ID]*actor
	names    map[[2]string]*actor
	groups   map[wire.ID]bool
	queue    []*task
	idle     []*conn
	starting int
	running  sync.WaitGroup
	stop     context.CancelFunc
	ctx      context.Context
}

// New makes a node whose workers serve what a *thornback.Worker serves.
func New(worker any) *Node {
	ctx, stop := context.WithCancel(context.Background())
	return &Node{
		worker: worker, ctx: ctx, stop: stop,
		sessions: map[*conn]struct{}{}, objects: map[wire.ID]*object{}, tasks: map[wire.ID]*task{}, actors: map[wire.ID]*actor{},
		names: map[[2]string]*actor{}, groups: map[wire.ID]bool{}, functions: map[string]*pb.Function{},
	}
}

// conn is one session.
type conn struct {
	node     *Node
	pipe     *pipe
	worker   bool
	seq, ack uint64
	declared map[uint32]*pb.Declare
	// A worker's: what was declared to it, what it runs, and the actor that it is.
	told  map[*pb.Declare]uint32
	runs  map[wire.ID]*task
	actor *actor
	// What an object being made has so far.
	rooms map[wire.ID][]byte
}

// object is a value, a failure, or nothing yet.
type object struct {
	done     bool
	value    *pb.Value
	stored   []byte
	failure  *pb.Failure
	watchers []*conn
	then     []func()
}

// Dial makes a connection, for a driver's or a worker's session.
func (n *Node) Dial(context.Context) (session.Carrier, error) {
	c := &conn{
		node: n, pipe: newPipe(), declared: map[uint32]*pb.Declare{}, told: map[*pb.Declare]uint32{}, runs: map[wire.ID]*task{}, rooms: map[wire.ID][]byte{},
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, session.ErrGone
	}
	go c.serve()
	return c.pipe, nil
}

// Close ends all sessions, and waits for the workers.
func (n *Node) Close() {
	n.mu.Lock()
	n.closed = true
	for c := range n.sessions {
		c.send(&pb.ServerOp{Op: &pb.ServerOp_Goodbye{Goodbye: &pb.Goodbye{Failure: failure(codeShuttingDown, "the node of the test was closed")}}})
	}
	n.mu.Unlock()
	n.stop()
	n.running.Wait()
}

func failure(code uint32, format string, args ...any) *pb.Failure {
	return &pb.Failure{Code: code, Message: fmt.Sprintf(format, args...)}
}

// serve takes the frames of one session.
func (c *conn) serve() {
	defer c.leave()
	for {
		var body []byte
		select {
		case body = <-c.pipe.toNode:
		case <-c.pipe.closed:
			return
		}
		frame := &pb.ClientFrame{}
		if proto.Unmarshal(body, frame) != nil {
			return
		}
		c.node.mu.Lock()
		if frame.GetSeq() > 0 {
			c.ack = frame.GetSeq()
			// All credit is given back at once.
			c.pipe.post(&pb.ServerFrame{Ack: c.ack, Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Credit{Credit: &pb.Credit{Bytes: uint64(len(body))}}}}})
		}
		for i, op := range frame.GetOps() {
			c.handle(op, uint32(i))
		}
		c.node.dispatch()
		c.node.mu.Unlock()
	}
}

// send sends an operation in a frame of its own. mu is held.
func (c *conn) send(op *pb.ServerOp) {
	c.seq++
	c.pipe.post(&pb.ServerFrame{Seq: c.seq, Ack: c.ack, Ops: []*pb.ServerOp{op}})
}

func (c *conn) refuse(index uint32, f *pb.Failure) {
	c.send(&pb.ServerOp{Op: &pb.ServerOp_Refused{Refused: &pb.Refused{Seq: c.ack, Index: index, Failure: f}}})
}

func (c *conn) hello(hello *pb.Hello) {
	n := c.node
	n.sessions[c] = struct{}{}
	c.worker = hello.GetRole() == pb.Role_ROLE_WORKER
	for _, f := range hello.GetFunctions() {
		n.functions[f.GetName()] = f
	}
	features := slices.DeleteFunc(hello.GetFeatures(), func(name string) bool { return name == "shared-memory" })
	c.pipe.post(&pb.ServerFrame{Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Welcome{Welcome: &pb.Welcome{
		Version: 1, Features: features, Session: n.newID(), Secret: n.newID(), Node: n.newID(), Job: n.newID(), Server: "thornbacktest", Namespace: "test",
		Limits: &pb.Limits{FrameBytes: session.DefaultFrameBytes, InlineBytes: inlineBytes, WindowBytes: 64 << 20},
	}}}}})
	if c.worker {
		n.starting--
		n.idle = append(n.idle, c)
		n.dispatch()
	}
}

func (n *Node) newID() []byte {
	n.ids++
	id := wire.ID{0: 0xfa, 11: byte(n.ids), 10: byte(n.ids >> 8), 9: byte(n.ids >> 16)}
	return id[:]
}

// leave forgets a session that is over; what its worker ran has failed.
func (c *conn) leave() {
	n := c.node
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.sessions, c)
	n.idle = slices.DeleteFunc(n.idle, func(other *conn) bool { return other == c })
	if c.actor != nil {
		n.actorDied(c.actor, failure(codeActorDied, "the actor ended"))
	}
	for _, t := range c.runs {
		n.finish(t, failure(codeActorDied, "the worker of the test ended"))
	}
	n.dispatch()
}

func (c *conn) handle(op *pb.ClientOp, index uint32) {
	n := c.node
	switch op := op.GetOp().(type) {
	case *pb.ClientOp_Hello:
		c.hello(op.Hello)
	case *pb.ClientOp_Declare:
		c.declared[op.Declare.GetNumber()] = op.Declare
	case *pb.ClientOp_Submit:
		n.submit(&task{id: idOf(op.Submit.GetTask()), parent: idOf(op.Submit.GetParent()), from: c, declare: c.declared[op.Submit.GetDeclaration()], args: op.Submit.GetArgs()})
	case *pb.ClientOp_Call:
		n.submit(&task{
			id: idOf(op.Call.GetTask()), parent: idOf(op.Call.GetParent()), from: c, declare: c.declared[op.Call.GetDeclaration()], args: op.Call.GetArgs(),
			target: idOf(op.Call.GetActor()), call: true,
		})
	case *pb.ClientOp_CreateActor:
		n.createActor(c, idOf(op.CreateActor.GetActor()), c.declared[op.CreateActor.GetDeclaration()], op.CreateActor.GetArgs(), op.CreateActor.GetOptions())
	case *pb.ClientOp_Cancel:
		n.cancel(c, op.Cancel, index)
	case *pb.ClientOp_Kill:
		n.kill(op.Kill)
	case *pb.ClientOp_Put:
		n.complete(idOf(op.Put.GetObject()), op.Put.GetValue(), nil, nil)
	case *pb.ClientOp_Create:
		c.rooms[idOf(op.Create.GetObject())] = make([]byte, 0, op.Create.GetSize())
		c.send(&pb.ServerOp{Op: &pb.ServerOp_Created{Created: &pb.Created{
			Object: op.Create.GetObject(), Outcome: &pb.Created_Location{Location: &pb.Location{Size: op.Create.GetSize()}},
		}}})
	case *pb.ClientOp_Write:
		id := idOf(op.Write.GetObject())
		c.rooms[id] = append(c.rooms[id], op.Write.GetData()...)
	case *pb.ClientOp_Seal:
		n.seal(c, idOf(op.Seal.GetObject()))
	case *pb.ClientOp_Abort:
		delete(c.rooms, idOf(op.Abort.GetObject()))
	case *pb.ClientOp_Watch:
		for _, id := range op.Watch.GetObjects() {
			n.watch(c, idOf(id))
		}
	case *pb.ClientOp_Fetch:
		n.fetch(c, op.Fetch)
	case *pb.ClientOp_Refs:
		n.drop(op.Refs.GetDrop())
	case *pb.ClientOp_Request:
		c.reply(op.Request)
	case *pb.ClientOp_Consumed:
		n.consumed(op.Consumed)
	case *pb.ClientOp_Done:
		n.done(c, op.Done)
	case *pb.ClientOp_Yield:
		n.yield(c, op.Yield)
	case *pb.ClientOp_ActorExit:
		if c.actor != nil {
			n.actorDied(c.actor, failure(codeActorDied, "the actor ended itself"))
		}
	case *pb.ClientOp_Goodbye:
		c.pipe.Close()
	case nil:
		c.refuse(index, failure(codeUnknownOperation, "the node of the test does not know this operation"))
	}
}

func idOf(b []byte) wire.ID {
	id, _ := wire.ParseID(b)
	return id
}

func (n *Node) object(id wire.ID) *object {
	o := n.objects[id]
	if o == nil {
		o = &object{}
		n.objects[id] = o
	}
	return o
}

// complete makes an object ready, and tells whoever waits.
func (n *Node) complete(id wire.ID, value *pb.Value, stored []byte, f *pb.Failure) {
	o := n.object(id)
	if o.done {
		return
	}
	o.done, o.value, o.stored, o.failure = true, value, stored, f
	for _, c := range o.watchers {
		o.tell(c, id)
	}
	for _, then := range o.then {
		then()
	}
	o.watchers, o.then = nil, nil
}

func (o *object) tell(c *conn, id wire.ID) {
	completion := &pb.Completion{Object: id[:]}
	switch {
	case o.failure != nil:
		completion.Outcome = &pb.Completion_Failure{Failure: o.failure}
	case o.stored != nil:
		completion.Outcome = &pb.Completion_Stored{Stored: uint64(len(o.stored))}
	default:
		completion.Outcome = &pb.Completion_Value{Value: o.value}
	}
	c.send(&pb.ServerOp{Op: &pb.ServerOp_Completion{Completion: completion}})
}

func (n *Node) watch(c *conn, id wire.ID) {
	o := n.objects[id]
	switch {
	case o == nil:
		o = &object{failure: failure(codeObjectNotFound, "nobody knows the object %v", id)}
		o.tell(c, id)
	case o.done:
		o.tell(c, id)
	default:
		o.watchers = append(o.watchers, c)
	}
}

func (n *Node) seal(c *conn, id wire.ID) {
	bytes := c.rooms[id]
	delete(c.rooms, id)
	for _, t := range c.runs {
		if t.id == id.WithIndex(0) {
			// A result: it is told of with its task's answer.
			t.stored[id] = bytes
			return
		}
	}
	n.complete(id, nil, bytes, nil)
}

func (n *Node) fetch(c *conn, fetch *pb.Fetch) {
	if fetch.GetQuiet() {
		return
	}
	id := idOf(fetch.GetObject())
	located := &pb.Located{Object: fetch.GetObject()}
	o := n.objects[id]
	switch {
	case o == nil || !o.done:
		located.Outcome = &pb.Located_Failure{Failure: failure(codeObjectNotFound, "nobody knows the object %v", id)}
	case o.failure != nil:
		located.Outcome = &pb.Located_Failure{Failure: o.failure}
	case o.stored == nil:
		located.Outcome = &pb.Located_Value{Value: o.value}
	default:
		located.Outcome = &pb.Located_Location{Location: &pb.Location{Size: uint64(len(o.stored))}}
	}
	c.send(&pb.ServerOp{Op: &pb.ServerOp_Located{Located: located}})
	if o == nil || o.stored == nil {
		return
	}
	const chunk = 1 << 20
	for at := 0; at < len(o.stored); at += chunk {
		end := min(at+chunk, len(o.stored))
		c.send(&pb.ServerOp{Op: &pb.ServerOp_Chunk{Chunk: &pb.Chunk{Object: fetch.GetObject(), Offset: uint64(at), Data: o.stored[at:end]}}})
	}
}

// startWorker begins one more session of the worker.
func (n *Node) startWorker() {
	n.starting++
	n.running.Add(1)
	go func() {
		defer n.running.Done()
		if err := inside.Serve(n.ctx, n.worker, n.Dial); err != nil {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.starting--
			for _, t := range n.queue {
				n.finish(t, failure(codeFunctionNotFound, "the worker cannot serve: %v", err))
			}
			n.queue = nil
		}
	}()
}

// after runs f later, under mu, unless the node is closed by then.
func (n *Node) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if !n.closed {
			f()
			n.dispatch()
		}
	})
}
