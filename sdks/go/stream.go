package thornback

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

// Stream is the results of a task that come one by one. It has one consumer: its methods may be called from several goroutines, each item going to one
// of them.
//
// Items that were not taken are freed, and the producer is cancelled, when the Stream is closed or no longer reachable.
type Stream[T any] struct {
	h  *streamHandle
	as *Contract
}

type streamHandle struct {
	state   *streamState
	cleanup runtime.Cleanup
}

// streamState is a stream as the link knows it; guarded by the link's mu.
type streamState struct {
	link    *link
	task    ID
	items   []*slot
	taken   uint64
	ended   bool
	err     *Error
	changed chan struct{}
	once    sync.Once
}

func (l *link) openStream(task ID) *streamHandle {
	s := &streamState{link: l, task: task, changed: make(chan struct{})}
	l.mu.Lock()
	l.streams[task] = s
	if l.over != nil {
		s.end(l.over)
	}
	l.mu.Unlock()
	h := &streamHandle{state: s}
	h.cleanup = runtime.AddCleanup(h, (*streamState).close, s)
	return h
}

// item and end are called under mu.
func (s *streamState) item(item *slot) {
	s.items = append(s.items, item)
	s.notify()
}

func (s *streamState) end(err *Error) {
	if !s.ended {
		s.ended, s.err = true, err
		s.notify()
	}
}

func (s *streamState) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (l *link) handleStreamEnd(end *pb.StreamEnd) {
	id, ok := wire.ParseID(end.GetTask())
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.streams[id]; s != nil {
		s.end(errorOf(end.GetFailure()))
	}
}

func (s *streamState) close() {
	s.once.Do(func() {
		l := s.link
		l.mu.Lock()
		delete(l.streams, s.task)
		s.end(failed(CodeCancelled, "the stream was closed"))
		s.items = nil
		l.mu.Unlock()
		l.dropLater(s.task)
	})
}

// take waits for the next item. Nil at the end of a stream that ended well.
func (s *streamState) take(ctx context.Context) (*handle, error) {
	l := s.link
	var unblock func()
	defer func() {
		if unblock != nil {
			unblock()
		}
	}()
	for {
		l.mu.Lock()
		if len(s.items) > 0 {
			h := s.pop()
			l.mu.Unlock()
			return h, nil
		}
		if s.ended {
			defer l.mu.Unlock()
			if s.err != nil {
				return nil, s.err
			}
			return nil, nil
		}
		changed := s.changed
		l.mu.Unlock()
		if unblock == nil {
			unblock = block(ctx, l)
		}
		l.sess.Flush()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, waited(ctx, "the next item of a stream did not come in time")
		}
	}
}

// pop takes the first item over. mu is held.
func (s *streamState) pop() *handle {
	l := s.link
	item := s.items[0]
	s.items = s.items[1:]
	s.taken++
	if known := l.slots.get(item.id); known != nil {
		// The same object came inside a value before. One count is enough for both.
		item = known
		l.dropLater(item.id)
	} else {
		l.slots.set(item)
	}
	item.refs++
	msg := protowire.AppendVarint(append(wire.AppendID(nil, 1, s.task), 2<<3), s.taken)
	l.post(wire.AppendOp(nil, opConsumed, msg))
	return new(handle).of(item)
}

// Next waits for the next item and gives a ref of it; false after the last. The error is the producer's failure, behind the items that came before it, or that
// of the wait: then a later Next may succeed.
func (s *Stream[T]) Next(ctx context.Context) (Ref[T], bool, error) {
	defer runtime.KeepAlive(s.h)
	h, err := s.h.state.take(ctx)
	return Ref[T]{h, s.as}, h != nil, err
}

// All gives the values as they come. After an error there are no more. Leaving the loop early leaves the rest in the stream.
func (s *Stream[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for ref, err := range s.Refs(ctx) {
			var value T
			if err == nil {
				value, err = ref.Get(ctx)
				ref.Close()
			}
			if !yield(value, err) || err != nil {
				return
			}
		}
	}
}

// Refs is All without reading the values.
func (s *Stream[T]) Refs(ctx context.Context) iter.Seq2[Ref[T], error] {
	return func(yield func(Ref[T], error) bool) {
		for {
			ref, more, err := s.Next(ctx)
			if err == nil && !more {
				return
			}
			if !yield(ref, err) || err != nil {
				return
			}
		}
	}
}

// ID is the id of the producing task.
func (s *Stream[T]) ID() ID { return s.h.state.task }

// Cancel cancels the producer: the items that came before can still be taken, then comes CodeCancelled. For the options see Ref.Cancel.
func (s *Stream[T]) Cancel(ctx context.Context, options ...CancelOption) error {
	defer runtime.KeepAlive(s.h)
	return s.h.state.link.cancel(ctx, s.h.state.task, options)
}

// Close gives the stream up: items that were not taken are freed, and the producer is cancelled. Closing twice does nothing.
func (s *Stream[T]) Close() {
	s.h.cleanup.Stop()
	s.h.state.close()
}

func (s *Stream[T]) String() string { return fmt.Sprintf("Stream(%s)", s.ID()) }
