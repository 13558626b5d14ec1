package thornback

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

const (
	returnsStream = -1
	// Arguments beyond this travel as objects, so that every call fits a frame.
	inlineArgsMax = 1 << 20
)

// Task calls a function that some worker serves, in whatever language, by its name. T is the type of its result, or of an item where it gives several.
// It may be used from several goroutines.
//
// An argument is any value with a portable form; a Ref is replaced by the value that it stands for before the task runs, a Named is given by name. Arguments
// larger than Client.InlineBytes are put as objects, and the call waits until they are; otherwise it waits only while the node takes nothing more.
type Task[T any] struct{ callable *callable }

// callable is a function, class or method with options, and what was declared of it.
type callable struct {
	link     *link
	function string
	options  options
	contract *Contract
	declared sync.Map // Number of return objects to the declaration's number.
	single   atomic.Uint32
}

// NewTask names a function to call through a client. Nothing is sent; whether the function exists turns out with the first call.
func NewTask[T any](client *Client, function string, options ...Option) (*Task[T], error) {
	c, err := newCallable(client.link, function, scopeTask, options)
	if err != nil {
		return nil, err
	}
	return &Task[T]{c}, nil
}

func newCallable(l *link, function string, scope optionScope, list []Option) (*callable, error) {
	c := &callable{link: l, function: function}
	c.options.scope = scope
	if function == "" {
		return nil, invalid("a function is called by its name, which is empty")
	}
	return c, c.options.apply(list)
}

// Submit calls the function and gives a ref of its result at once.
//
// The error has CodeUnserializable for an argument without a portable form. What becomes of the task is what Ref.Get says.
func (t *Task[T]) Submit(ctx context.Context, args ...any) (Ref[T], error) {
	h, err := t.callable.one(ctx, nil, args)
	return Ref[T]{h, t.callable.contract}, err
}

// SubmitN calls a function with n results. n may be 0: then there is nothing to get, and a failure is logged.
func (t *Task[T]) SubmitN(ctx context.Context, n int, args ...any) ([]Ref[T], error) {
	handles, err := t.callable.several(ctx, nil, n, args)
	return refsOf[T](handles, t.callable.contract), err
}

// Stream calls a function that gives its results one by one.
func (t *Task[T]) Stream(ctx context.Context, args ...any) (*Stream[T], error) {
	h, err := t.callable.stream(ctx, nil, args)
	if err != nil {
		return nil, err
	}
	return &Stream[T]{h, t.callable.contract}, nil
}

func refsOf[T any](handles []*handle, as *Contract) []Ref[T] {
	refs := make([]Ref[T], len(handles))
	for i, h := range handles {
		refs[i] = Ref[T]{h, as}
	}
	return refs
}

// number declares the callable, once for each number of return objects.
func (c *callable) number(returns int32) (uint32, error) {
	if returns == 1 {
		if n := c.single.Load(); n != 0 {
			return n, nil
		}
	} else if n, ok := c.declared.Load(returns); ok {
		return n.(uint32), nil
	}
	n, err := c.link.declare(c.options.declaration(c.function, returns))
	if err != nil {
		return 0, err
	}
	if returns == 1 {
		c.single.Store(n)
	} else {
		c.declared.Store(returns, n)
	}
	return n, nil
}

// declare gives a number to what will be called. What was declared alike has one already.
func (l *link) declare(declare *pb.Declare) (uint32, error) {
	key, err := proto.MarshalOptions{Deterministic: true}.Marshal(declare)
	if err != nil {
		return 0, invalid("%q cannot be declared: %v", declare.GetFunction(), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.declared[string(key)]; ok {
		return n, nil
	}
	declare.Number = uint32(len(l.declared)) + 1
	// Under mu: whoever finds the number may use it at once.
	if err := l.postMessage(opDeclare, declare); err != nil {
		return 0, err
	}
	l.declared[string(key)] = declare.Number
	return declare.Number, nil
}

func (c *callable) one(ctx context.Context, actor *Actor, args []any) (*handle, error) {
	number, err := c.number(1)
	if err != nil {
		return nil, err
	}
	task := c.link.ids.next()
	op, keep, err := c.operation(ctx, task, number, actor, args)
	if err != nil {
		return nil, err
	}
	h := c.link.expect(task.WithIndex(1), statePending)
	err = c.send(op, keep)
	runtime.KeepAlive(actor)
	if err != nil {
		c.link.forget(h)
	}
	return h, err
}

func (c *callable) several(ctx context.Context, actor *Actor, n int, args []any) ([]*handle, error) {
	if n < 0 || n > 1<<20 {
		return nil, invalid("a call cannot have %d results", n)
	}
	number, err := c.number(int32(n))
	if err != nil {
		return nil, err
	}
	task := c.link.ids.next()
	op, keep, err := c.operation(ctx, task, number, actor, args)
	if err != nil {
		return nil, err
	}
	handles := make([]*handle, n)
	for i := range handles {
		handles[i] = c.link.expect(task.WithIndex(uint32(i)+1), statePending)
	}
	err = c.send(op, keep)
	runtime.KeepAlive(actor)
	if err != nil {
		for _, h := range handles {
			c.link.forget(h)
		}
	}
	return handles, err
}

func (c *callable) stream(ctx context.Context, actor *Actor, args []any) (*streamHandle, error) {
	number, err := c.number(returnsStream)
	if err != nil {
		return nil, err
	}
	task := c.link.ids.next()
	op, keep, err := c.operation(ctx, task, number, actor, args)
	if err != nil {
		return nil, err
	}
	h := c.link.openStream(task)
	err = c.send(op, keep)
	runtime.KeepAlive(actor)
	if err != nil {
		h.cleanup.Stop()
		h.state.link.mu.Lock()
		defer h.state.link.mu.Unlock()
		delete(h.state.link.streams, task)
	}
	return h, err
}

func (c *callable) send(op *[]byte, keep []any) error {
	err := c.link.sess.Send(*op)
	runtime.KeepAlive(keep)
	putScratch(op)
	if err != nil {
		return invalid("the call of %s has too many arguments: %v", c.function, err)
	}
	return nil
}

// operation makes the Submit or Call. What it gives besides must stay alive until that is posted, and so must the actor.
func (c *callable) operation(ctx context.Context, task ID, number uint32, actor *Actor, args []any) (*[]byte, []any, error) {
	if err := c.link.sess.WaitRoom(ctx); err != nil {
		return nil, nil, waited(ctx, "the node takes nothing more")
	}
	msg := getScratch()
	defer putScratch(msg)
	body := wire.AppendID((*msg)[:0], 1, task)
	op, declaration, argsField, parentField := protowire.Number(opSubmit), byte(2<<3), protowire.Number(3), protowire.Number(4)
	if actor != nil {
		op, declaration, argsField, parentField = opCall, 3<<3, 4, 5
		if err := actor.h.usable(); err != nil {
			return nil, nil, err
		}
		body = wire.AppendID(body, 2, actor.h.slot.id)
	}
	body = protowire.AppendVarint(append(body, declaration), uint64(number))
	args, err := c.contract.encode(args)
	if err != nil {
		return nil, nil, err
	}
	body, keep, err := c.link.appendArgs(ctx, body, argsField, args)
	if err != nil {
		return nil, nil, err
	}
	if job := jobOf(ctx); job != nil && job.link == c.link {
		body = wire.AppendID(body, parentField, job.task)
	}
	*msg = body
	out := getScratch()
	*out = wire.AppendOp((*out)[:0], op, body)
	return out, keep, nil
}

// appendArgs appends arguments as repeated `Arg`s. Large ones become objects first.
func (l *link) appendArgs(ctx context.Context, b []byte, field protowire.Number, args []any) ([]byte, []any, error) {
	var keep []any
	total := 0
	named := false
	// Values are put together in one buffer after the other, and copied behind `b`.
	room := getScratch()
	defer putScratch(room)
	for i, arg := range args {
		keyword := ""
		if n, ok := arg.(NamedArg); ok {
			if n.Name == "" {
				return nil, nil, invalid("argument %d is named by nothing", i)
			}
			arg, keyword, named = n.Value, n.Name, true
		} else if named {
			return nil, nil, invalid("argument %d has no name and follows one that has", i)
		}
		if ref, ok := arg.(AnyRef); ok {
			h := ref.object()
			if err := h.usable(); err != nil {
				return nil, nil, err
			}
			if h.slot.link != l {
				return nil, nil, invalid("argument %d is a ref of another client", i)
			}
			b = appendRefArg(b, field, h.slot.id, keyword)
			keep = append(keep, h)
			continue
		}
		value, err := encodeArg(encoder{data: (*room)[:0]}, arg)
		if err != nil {
			return nil, nil, argError(err, i, keyword)
		}
		if n := value.Bytes(); n > l.inlineBytes || n > 1024 && total+n > inlineArgsMax {
			*room = nil // The object may keep it.
			h, err := l.put(ctx, &value)
			if err != nil {
				return nil, nil, argError(err, i, keyword)
			}
			b = appendRefArg(b, field, h.slot.id, keyword)
			keep = append(keep, h)
			continue
		}
		total += value.Bytes()
		if value.Format == pb.Format_FORMAT_MSGPACK {
			*room = value.Data
		}
		if len(value.keep) > 0 {
			keep = append(keep, value.keep)
		}
		size := value.Size()
		b = protowire.AppendTag(b, field, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(1+protowire.SizeBytes(size)+keywordSize(keyword)))
		b = value.AppendField(b, 1)
		b = appendKeyword(b, keyword)
	}
	return b, keep, nil
}

// encodeArg is encode, into the encoder's buffer where it needs one.
func encodeArg(e encoder, arg any) (encoded, error) {
	switch arg.(type) {
	case []byte, View, *Tensor:
		return encode(arg)
	}
	if err := e.any(arg); err != nil {
		return encoded{}, err
	}
	return encoded{Value: wire.Value{Format: pb.Format_FORMAT_MSGPACK, Data: e.data, Refs: e.refs, Buffers: e.buffers}, keep: e.keep}, nil
}

func argError(err error, i int, keyword string) error {
	own, ok := err.(*Error)
	if !ok {
		return err
	}
	where := fmt.Sprintf("argument %d", i)
	if keyword != "" {
		where = fmt.Sprintf("argument %q", keyword)
	}
	e := failed(own.Code, "%s: %s", where, own.Message)
	e.failure, e.wrapped, e.Details = nil, own.wrapped, own.Details
	return e
}

func appendRefArg(b []byte, field protowire.Number, id ID, keyword string) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(2+wire.IDBytes+keywordSize(keyword)))
	b = wire.AppendID(b, 2, id)
	return appendKeyword(b, keyword)
}

func keywordSize(keyword string) int {
	if keyword == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(valid(keyword)))
}

func appendKeyword(b []byte, keyword string) []byte {
	if keyword == "" {
		return b
	}
	return protowire.AppendString(append(b, 3<<3|2), valid(keyword))
}

// Buffers in which operations are put together: they are copied into the session's queue, so they are needed for moments.
var scratches = sync.Pool{New: func() any { return new([]byte) }}

func getScratch() *[]byte { return scratches.Get().(*[]byte) }

func putScratch(b *[]byte) {
	if cap(*b) <= 64<<10 {
		scratches.Put(b)
	}
}
