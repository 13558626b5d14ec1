package thornback

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"thornback.dev/go/internal/wire"
)

// Ref stands for a value that is going to exist: the result of a task or of an actor's call, an item of a stream, or what was put. It is cheap to copy, copies
// stand for the same, and all of it may be used from several goroutines.
//
// T is the type that Get reads the value as; Ref[any] reads whatever is there as the Go type that fits it best.
//
// The object lives as long as a Ref of it is reachable somewhere. Close gives it up sooner than the garbage collector would.
type Ref[T any] struct {
	h *handle
	// What reads the value where an interface says what it is.
	as *Contract
}

// AnyRef is a Ref of any type, for functions that take several.
type AnyRef interface {
	// ID names the object.
	ID() ID
	object() *handle
}

// handle counts once for its slot while it is reachable and not closed.
type handle struct {
	slot    *slot
	closed  atomic.Bool
	cleanup runtime.Cleanup
}

// How far an object is.
const (
	statePending uint32 = iota
	// Somebody else's, of which the node was not asked yet.
	stateForeign
	stateValue
	stateStored
	stateFailed
	// An actor, which has a count and no value.
	stateActor
)

// slot is one object as this process knows it. Its fields are guarded by the link's mu until `state` says that it is ready; then they do not change.
type slot struct {
	id    ID
	link  *link
	state atomic.Uint32
	refs  int
	value wire.Value
	err   *Error
	// Who waits: nearly always one.
	waiter  *waiter
	waiters []*waiter
	// Where the bytes of small values are.
	small [16]byte
}

func (s *slot) isPending() bool {
	state := s.state.Load()
	return state == statePending || state == stateForeign
}

// waiter waits for some of several objects.
type waiter struct {
	ready chan struct{}
	need  int
	// One failure is enough.
	failFast bool
	failed   *slot
	done     bool
}

func (w *waiter) see(s *slot) {
	if w.done {
		return
	}
	w.need--
	if w.failFast && s.state.Load() == stateFailed {
		w.failed = s
		w.need = 0
	}
	if w.need <= 0 {
		w.done = true
		close(w.ready)
	}
}

// ID names the object.
func (r Ref[T]) ID() ID {
	if r.h == nil || r.h.slot == nil {
		return ID{}
	}
	return r.h.slot.id
}

func (r Ref[T]) object() *handle { return r.h }

// adopt and extension let a ref be read from inside a value.
func (r *Ref[T]) adopt(h *handle) { r.h = h }
func (r *Ref[T]) extension() int8 { return extRef }

func (r Ref[T]) reference() (int8, ID, any, error) {
	if err := r.h.usable(); err != nil {
		return 0, ID{}, nil, err
	}
	return extRef, r.h.slot.id, r.h, nil
}

func (r Ref[T]) String() string { return fmt.Sprintf("Ref(%s)", r.ID()) }

// Close gives the object up; it is freed once nobody else refers to it. Closing twice does nothing. Other copies of the Ref are closed too.
func (r Ref[T]) Close() {
	if r.h != nil {
		r.h.close()
	}
}

// As reads the same object as another type.
func As[T any](ref AnyRef) Ref[T] { return Ref[T]{h: ref.object()} }

// StreamRef is a stream of another session's that came inside a value: it keeps the stream alive and can be passed on.
type StreamRef struct{ h *handle }

// ID names the stream's task.
func (s StreamRef) ID() ID { return Ref[any]{h: s.h}.ID() }

// Close gives it up.
func (s StreamRef) Close() { Ref[any]{h: s.h}.Close() }

func (s *StreamRef) adopt(h *handle) { s.h = h }
func (s *StreamRef) extension() int8 { return extStream }
func (s StreamRef) reference() (int8, ID, any, error) {
	if err := s.h.usable(); err != nil {
		return 0, ID{}, nil, err
	}
	return extStream, s.h.slot.id, s.h, nil
}

func (h *handle) usable() error {
	switch {
	case h == nil || h.slot == nil:
		return invalid("the ref stands for nothing: it is the zero Ref")
	case h.closed.Load():
		return invalid("the ref %v was closed", h.slot.id)
	}
	return nil
}

func (h *handle) close() {
	if h.slot == nil || h.slot.link == nil || h.closed.Swap(true) {
		return
	}
	h.cleanup.Stop()
	h.slot.unref()
}

// of makes the handle one of s, whose refs count it already.
func (h *handle) of(s *slot) *handle {
	h.slot = s
	h.cleanup = runtime.AddCleanup(h, (*slot).unref, s)
	return h
}

// unref takes one handle away. The last one gives the count back to the node.
func (s *slot) unref() {
	l := s.link
	l.mu.Lock()
	s.refs--
	last := s.refs == 0
	if last {
		l.slots.remove(s)
	}
	l.mu.Unlock()
	if last {
		l.dropLater(s.id)
	}
}

// expect makes the slot of something that this session is about to create, with one handle.
func (l *link) expect(id ID, state uint32) *handle {
	s := &slot{id: id, link: l, refs: 1}
	s.state.Store(state)
	l.mu.Lock()
	l.slots.set(s)
	if l.over != nil && s.isPending() {
		l.fail(s, l.over)
	}
	l.mu.Unlock()
	return new(handle).of(s)
}

// forget takes back what expect made: the node never heard of it.
func (l *link) forget(h *handle) {
	h.cleanup.Stop()
	h.closed.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots.remove(h.slot)
}

// adopt counts refs that were found inside a value, with one operation for all that are new.
func (l *link) adopt(found []foundRef) {
	var retain []ID
	l.mu.Lock()
	for _, f := range found {
		s := l.slots.get(f.id)
		if s == nil {
			s = &slot{id: f.id, link: l}
			s.state.Store(stateForeign)
			l.slots.set(s)
			retain = append(retain, f.id)
		}
		s.refs++
		f.handle.of(s)
	}
	// Under mu, so that no drop of the same id is posted in between.
	l.postIDs(opRefs, 1, retain)
	l.mu.Unlock()
}

// fill and fail make an object ready. mu is held.
func (l *link) fill(s *slot, state uint32) {
	if !s.isPending() {
		return
	}
	s.state.Store(state)
	first, others := s.waiter, s.waiters
	s.waiter, s.waiters = nil, nil
	if first != nil {
		first.see(s)
	}
	for _, w := range others {
		w.see(s)
	}
}

func (l *link) fail(s *slot, e *Error) {
	if s.isPending() {
		s.err = e
		l.fill(s, stateFailed)
	}
}

func (l *link) handleCompletion(msg []byte) error {
	c, err := wire.ParseCompletion(msg)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.slots.get(c.Object)
	var stream *streamState
	if len(l.streams) > 0 {
		stream = l.streams[c.Object.WithIndex(0)]
	}
	if stream != nil {
		item := &slot{id: c.Object, link: l}
		if err := l.complete(item, &c); err != nil {
			return err
		}
		stream.item(item)
	}
	if s == nil {
		return nil // Its last ref went while this was on its way.
	}
	return l.complete(s, &c)
}

func (l *link) complete(s *slot, c *wire.Completion) error {
	switch {
	case c.Value != nil:
		// The frame's bytes are reused.
		value, err := wire.ParseValue(append(s.small[:0], c.Value...))
		if err != nil {
			return err
		}
		if s.isPending() {
			s.value = value
			l.fill(s, stateValue)
		}
	case c.Failure != nil:
		l.fail(s, errorOfBytes(c.Failure))
	case c.Stored:
		l.fill(s, stateStored)
	default:
		l.fail(s, failed(CodeInternal, "the node completed an object in a way that this version does not know"))
	}
	return nil
}

// await waits until enough of the objects are ready, and asks the node about those that are somebody else's. With failFast the first failure ends it.
// It gives that failure's slot.
func (l *link) await(ctx context.Context, slots []*slot, need int, failFast bool) (*slot, error) {
	w := &waiter{need: need, failFast: failFast}
	var watch []ID
	l.mu.Lock()
	for _, s := range slots {
		if l.over != nil {
			l.fail(s, l.over)
		}
		if !s.isPending() {
			w.need--
			if failFast && s.state.Load() == stateFailed {
				l.mu.Unlock()
				return s, nil
			}
		}
	}
	if w.need <= 0 {
		l.mu.Unlock()
		return nil, nil
	}
	w.ready = make(chan struct{})
	for _, s := range slots {
		if s.state.Load() == stateForeign {
			s.state.Store(statePending)
			watch = append(watch, s.id)
		}
		if s.isPending() {
			s.wait(w)
		}
	}
	l.postIDs(opWatch, 1, watch)
	l.mu.Unlock()

	defer block(ctx, l)()
	l.sess.Flush()
	select {
	case <-w.ready:
		return w.failed, nil
	case <-ctx.Done():
		l.mu.Lock()
		w.done = true
		missing := w.need
		for _, s := range slots {
			s.unwait(w)
		}
		l.mu.Unlock()
		return nil, waited(ctx, "%d of %d objects did not become ready in time; get them again to go on waiting", missing, len(slots))
	}
}

func (s *slot) wait(w *waiter) {
	if s.waiter == nil {
		s.waiter = w
	} else {
		s.waiters = append(s.waiters, w)
	}
}

func (s *slot) unwait(w *waiter) {
	if s.waiter == w {
		s.waiter = nil
	}
	kept := s.waiters[:0]
	for _, other := range s.waiters {
		if other != w {
			kept = append(kept, other)
		}
	}
	s.waiters = kept
}

// Get waits for the value and reads it. Each Get reads it anew.
//
// If ctx's deadline passes first the error has CodeGetTimeout and is context.DeadlineExceeded; nothing is lost, and a later Get may succeed. If the task
// failed, the error is its *Error. A value of another type than T is CodeInvalidArgument.
func (r Ref[T]) Get(ctx context.Context) (T, error) {
	var value T
	if err := r.h.usable(); err != nil {
		return value, err
	}
	defer runtime.KeepAlive(r.h)
	s := r.h.slot
	if s.isPending() {
		if _, err := s.link.await(ctx, []*slot{s}, 1, false); err != nil {
			return value, err
		}
	}
	if r.as != nil {
		return readAs[T](ctx, s, r.as)
	}
	err := s.read(ctx, &value)
	return value, err
}

// Ready waits until the object is, without reading it. The error is that of the wait, never the task's.
func (r Ref[T]) Ready(ctx context.Context) error {
	if err := r.h.usable(); err != nil {
		return err
	}
	defer runtime.KeepAlive(r.h)
	_, err := r.h.slot.link.await(ctx, []*slot{r.h.slot}, 1, false)
	return err
}

// read reads a slot that is ready.
func (s *slot) read(ctx context.Context, target any) error {
	switch s.state.Load() {
	case stateValue:
		return decode(&s.value, target, s.link, nil)
	case stateStored:
		return s.link.readStored(ctx, s.id, target)
	case stateFailed:
		return s.err
	}
	return invalid("%v is an actor; only objects have a value", s.id)
}

// GetAll waits for the values of refs, in their order, duplicates included. It returns the first failure that is known, without waiting for the rest.
func GetAll[T any](ctx context.Context, refs []Ref[T]) ([]T, error) {
	if len(refs) == 0 {
		return []T{}, nil
	}
	slots, l, err := slotsOf(refs)
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(refs)
	failed, err := l.await(ctx, slots, len(slots), true)
	if err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, failed.err
	}
	values := make([]T, len(refs))
	for i, s := range slots {
		if as := refs[i].as; as != nil {
			values[i], err = readAs[T](ctx, s, as)
		} else {
			err = s.read(ctx, &values[i])
		}
		if err != nil {
			return nil, err
		}
	}
	return values, nil
}

func slotsOf[R AnyRef](refs []R) ([]*slot, *link, error) {
	slots := make([]*slot, len(refs))
	var l *link
	for i, ref := range refs {
		h := ref.object()
		if err := h.usable(); err != nil {
			return nil, nil, err
		}
		if l != nil && h.slot.link != l {
			return nil, nil, invalid("the refs belong to different clients")
		}
		slots[i], l = h.slot, h.slot.link
	}
	return slots, l, nil
}

// WaitOption changes how Wait waits.
type WaitOption func(*waitOptions)

type waitOptions struct {
	timeout time.Duration
	limited bool
	fetch   bool
}

// WaitTimeout has Wait return after this time with what is ready then, without an error. The default is to wait as long as ctx allows.
func WaitTimeout(d time.Duration) WaitOption {
	return func(o *waitOptions) { o.timeout, o.limited = d, true }
}

// WaitFetch also brings what is ready near this process, so that reading it does not wait.
func WaitFetch() WaitOption { return func(o *waitOptions) { o.fetch = true } }

// Wait waits until n of the refs are ready, and parts them into at most n that are and the rest, each in their order. A failed object is ready. No refs give two empty
// lists. The error is CodeInvalidArgument for a duplicate ref or an impossible n, else that of ctx; then, too, both lists are given.
func Wait[R AnyRef](ctx context.Context, refs []R, n int, options ...WaitOption) (ready, rest []R, err error) {
	var o waitOptions
	for _, option := range options {
		option(&o)
	}
	if len(refs) == 0 {
		return nil, nil, nil
	}
	if n < 1 || n > len(refs) {
		return nil, refs, invalid("cannot wait for %d of %d refs", n, len(refs))
	}
	slots, l, err := slotsOf(refs)
	if err != nil {
		return nil, refs, err
	}
	seen := make(map[ID]struct{}, len(slots))
	for _, s := range slots {
		if _, twice := seen[s.id]; twice {
			return nil, refs, invalid("the ref %v is there twice", s.id)
		}
		seen[s.id] = struct{}{}
	}
	defer runtime.KeepAlive(refs)
	limited := ctx
	if o.limited {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	_, err = l.await(limited, slots, n, false)
	if err != nil && o.limited && ctx.Err() == nil {
		err = nil
	}
	for i, ref := range refs {
		if len(ready) < n && !slots[i].isPending() {
			ready = append(ready, ref)
			if o.fetch && slots[i].state.Load() == stateStored {
				l.prefetch(slots[i].id)
			}
		} else {
			rest = append(rest, ref)
		}
	}
	return ready, rest, err
}

func (l *link) prefetch(id ID) {
	msg := append(wire.AppendID(nil, 1, id), 2<<3, 1)
	l.post(wire.AppendOp(nil, opFetch, msg))
}

// CancelOption changes what Cancel does.
type CancelOption func(*cancelOptions)

type cancelOptions struct{ force, recursive bool }

// Force ends the worker process of a running task. An actor's call cannot be forced.
func Force() CancelOption { return func(o *cancelOptions) { o.force = true } }

// Recursive also cancels the tasks that the task submitted, and theirs.
func Recursive() CancelOption { return func(o *cancelOptions) { o.recursive = true } }

// Cancel cancels the task that makes the object: one that has not started never runs, one that runs has its context cancelled. Its result then fails with
// CodeCancelled, unless it ends first. For what is over already, or was put, nothing happens.
//
// With Force it waits for the node, and fails with CodeInvalidArgument for an actor's call.
func (r Ref[T]) Cancel(ctx context.Context, options ...CancelOption) error {
	if err := r.h.usable(); err != nil {
		return err
	}
	defer runtime.KeepAlive(r.h)
	return r.h.slot.link.cancel(ctx, r.h.slot.id, options)
}

func (l *link) cancel(ctx context.Context, id ID, options []CancelOption) error {
	var o cancelOptions
	for _, option := range options {
		option(&o)
	}
	msg := wire.AppendID(nil, 1, id)
	if o.force {
		msg = append(msg, 2<<3, 1)
	}
	if o.recursive {
		msg = append(msg, 3<<3, 1)
	}
	l.post(wire.AppendOp(nil, opCancel, msg))
	l.sess.Flush()
	if !o.force {
		return l.ended()
	}
	// Only the node knows whether this is an actor's call. A refusal comes before the reply to what was asked later.
	if _, err := l.request(ctx, statusRequest()); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if refused := l.cancels[id]; refused != nil {
		delete(l.cancels, id)
		return refused
	}
	return nil
}
