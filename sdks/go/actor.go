package thornback

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

// Actor is a handle of an actor: an instance of a class in a worker of its own. It may be passed to tasks and other actors, and used from several goroutines;
// calls of one client start in the order in which they were made.
//
// An actor without a name ends when no handle of it is reachable any more and its calls are over. Close gives this handle up sooner.
type Actor struct {
	h     *handle
	class string
	iface []byte
	// MaxTaskRetries of the actor, where this process created it.
	retries int32
}

// Class creates actors of a class that some worker serves by name, in whatever language. It may be used from several goroutines.
type Class struct{ callable *callable }

// NewClass names a class. Nothing is sent.
func NewClass(client *Client, class string, options ...Option) (*Class, error) {
	c, err := newCallable(client.link, class, scopeActor, options)
	if err != nil {
		return nil, err
	}
	return &Class{c}, nil
}

// Create creates an actor. Calls may follow at once; if it cannot be created, each fails with the reason. With ActorName it waits for the node to say whose the
// name is, and fails with CodeActorNameTaken if it is another's.
func (c *Class) Create(ctx context.Context, args ...any) (*Actor, error) {
	l := c.callable.link
	if err := l.sess.WaitRoom(ctx); err != nil {
		return nil, waited(ctx, "the node takes nothing more")
	}
	number, err := c.callable.number(1)
	if err != nil {
		return nil, err
	}
	o := &c.callable.options
	actorOptions, _ := proto.Clone(&o.actor).(*pb.ActorOptions)
	// What is asked for by name is held; the CPU of the default only places the actor.
	actorOptions.HoldResources = len(o.amounts) > 0
	encodedOptions, err := proto.Marshal(actorOptions)
	if err != nil {
		return nil, invalid("the options of an actor cannot be written: %v", err)
	}
	id := l.ids.next()
	msg := wire.AppendID(nil, 1, id)
	msg = protowire.AppendVarint(append(msg, 2<<3), uint64(number))
	if args, err = c.callable.contract.encode(args); err != nil {
		return nil, err
	}
	msg, keep, err := l.appendArgs(ctx, msg, 3, args)
	if err != nil {
		return nil, err
	}
	msg = protowire.AppendBytes(append(msg, 4<<3|2), encodedOptions)
	if o.actor.GetName() != "" {
		return c.createNamed(ctx, id, msg, keep)
	}
	if job := jobOf(ctx); job != nil && job.link == l {
		msg = wire.AppendID(msg, 5, job.task)
	}
	actor := &Actor{h: l.expect(id, stateActor), class: c.callable.function, retries: o.actor.GetMaxTaskRetries()}
	err = c.callable.send(scratchOf(wire.AppendOp(nil, opCreateActor, msg)), keep)
	if err != nil {
		l.forget(actor.h)
	}
	return actor, err
}

func scratchOf(b []byte) *[]byte { return &b }

// createNamed makes the request that has a reply. Its fields are those of CreateActor under the same numbers.
func (c *Class) createNamed(ctx context.Context, id ID, msg []byte, keep []any) (*Actor, error) {
	l := c.callable.link
	request := &pb.CreateNamedActor{}
	if err := proto.Unmarshal(msg, request); err != nil {
		return nil, failed(CodeInternal, "the creation of an actor cannot be written: %v", err)
	}
	h := l.expect(id, stateActor)
	reply, err := l.request(ctx, &pb.Request{Request: &pb.Request_CreateActor{CreateActor: request}})
	_ = keep
	if err != nil {
		// Nothing was created, or nobody knows: then the count goes with the session.
		l.forget(h)
		return nil, err
	}
	info := reply.GetActor()
	if !info.GetExisted() {
		return &Actor{h: h, class: c.callable.function, retries: c.callable.options.actor.GetMaxTaskRetries()}, nil
	}
	l.forget(h)
	return l.adoptActor(info)
}

// adoptActor makes a handle of what a reply names. The reply came with a count of its own (ACTOR-013).
func (l *link) adoptActor(info *pb.ActorInfo) (*Actor, error) {
	id, ok := wire.ParseID(info.GetActor())
	if !ok {
		return nil, failed(CodeInternal, "the node named an actor without its id")
	}
	h := new(handle)
	l.adopt([]foundRef{{id, h}})
	l.dropLater(id)
	return &Actor{h: h, class: info.GetClassName(), iface: info.GetInterface()}, nil
}

// GetActor gives a handle of a named actor. An empty namespace is the session's. The error has CodeActorNotFound if no live actor has the name.
func (c *Client) GetActor(ctx context.Context, name, namespace string) (*Actor, error) {
	reply, err := c.link.request(ctx, &pb.Request{Request: &pb.Request_GetActor{GetActor: &pb.GetActor{Name: name, Namespace: namespace}}})
	if err != nil {
		return nil, err
	}
	return c.link.adoptActor(reply.GetActor())
}

// ActorInfo is what the node says of a named actor.
type ActorInfo struct {
	ID        ID
	Name      string
	Namespace string
	// "pending", "alive", "restarting" or "dead".
	State    string
	Class    string
	Restarts int
}

// ListActors lists named actors of the session's namespace, or of all.
func (c *Client) ListActors(ctx context.Context, allNamespaces bool) ([]ActorInfo, error) {
	reply, err := c.link.request(ctx, &pb.Request{Request: &pb.Request_ListActors{ListActors: &pb.ListActors{AllNamespaces: allNamespaces}}})
	if err != nil {
		return nil, err
	}
	var actors []ActorInfo
	for _, info := range reply.GetActors().GetActors() {
		id, _ := wire.ParseID(info.GetActor())
		actors = append(actors, ActorInfo{id, info.GetName(), info.GetNamespace(), info.GetState(), info.GetClassName(), int(info.GetRestarts())})
	}
	return actors, nil
}

// ID names the actor.
func (a *Actor) ID() ID { return Ref[any]{h: a.h}.ID() }

// Class is the name of its class, as far as it is known.
func (a *Actor) Class() string { return a.class }

func (a *Actor) String() string { return fmt.Sprintf("Actor(%s, %v)", a.class, a.ID()) }

// Close gives the handle up. Closing twice does nothing.
func (a *Actor) Close() { a.h.close() }

func (a *Actor) reference() (int8, ID, any, error) {
	if err := a.h.usable(); err != nil {
		return 0, ID{}, nil, err
	}
	return extActor, a.h.slot.id, a, nil
}

// KillOption changes what Kill does.
type KillOption func(*pb.Kill)

// Restart lets the actor use a restart, if one is left.
func Restart() KillOption { return func(k *pb.Kill) { k.Restart = true } }

// Graceful lets the calls that are queued already finish first.
func Graceful() KillOption { return func(k *pb.Kill) { k.Graceful = true } }

// Kill ends the actor at once; queued and running calls fail with CodeActorDied.
func (a *Actor) Kill(options ...KillOption) error {
	if err := a.h.usable(); err != nil {
		return err
	}
	kill := &pb.Kill{}
	for _, option := range options {
		option(kill)
	}
	l := a.h.slot.link
	kill.Actor = a.h.slot.id[:]
	if err := l.postMessage(opKill, kill); err != nil {
		return err
	}
	l.sess.Flush()
	return l.ended()
}

// Method calls a method of an actor. T is the type of its result, or of an item where it gives several. It may be used from several goroutines.
type Method[T any] struct {
	actor    *Actor
	callable *callable
}

// NewMethod names a method of an actor. Nothing is sent; whether it exists turns out with the first call.
func NewMethod[T any](actor *Actor, name string, options ...Option) (*Method[T], error) {
	if err := actor.h.usable(); err != nil {
		return nil, err
	}
	c, err := newCallable(actor.h.slot.link, name, scopeMethod, options)
	if err != nil {
		return nil, err
	}
	if c.options.retries == nil {
		c.options.retries = &actor.retries
	}
	return &Method[T]{actor, c}, nil
}

// Call calls the method once, without keeping what NewMethod would make.
func Call[T any](ctx context.Context, actor *Actor, method string, args ...any) (Ref[T], error) {
	m, err := NewMethod[T](actor, method)
	if err != nil {
		return Ref[T]{}, err
	}
	return m.Call(ctx, args...)
}

// Call calls the method and gives a ref of its result at once. For arguments see Task.
func (m *Method[T]) Call(ctx context.Context, args ...any) (Ref[T], error) {
	h, err := m.callable.one(ctx, m.actor, args)
	return Ref[T]{h, m.callable.contract}, err
}

// CallN calls a method with n results. n may be 0: then there is nothing to get, and a failure is logged.
func (m *Method[T]) CallN(ctx context.Context, n int, args ...any) ([]Ref[T], error) {
	handles, err := m.callable.several(ctx, m.actor, n, args)
	return refsOf[T](handles, m.callable.contract), err
}

// Stream calls a method that gives its results one by one.
func (m *Method[T]) Stream(ctx context.Context, args ...any) (*Stream[T], error) {
	h, err := m.callable.stream(ctx, m.actor, args)
	if err != nil {
		return nil, err
	}
	return &Stream[T]{h, m.callable.contract}, nil
}
