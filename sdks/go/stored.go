package thornback

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/header"
	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

const (
	// Bytes of one Write where there is no shared memory.
	writeBytes = 256 << 10
	// From here on two goroutines copy: one does not saturate the memory of most machines.
	copyAloneMax = 8 << 20
)

// fetch is one question where an object can be read. Its answer holds a pin.
type fetch struct {
	done      chan struct{}
	located   *pb.Located
	err       error
	abandoned bool
	// Where there is no shared memory.
	chunks []byte
	size   uint64
}

func (f *fetch) finish(located *pb.Located, err error) {
	f.located, f.err = located, err
	close(f.done)
}

// creation is one question for room.
type creation struct {
	done     chan struct{}
	location wire.Location
	err      error
}

func (c *creation) finish(location wire.Location, err error) {
	c.location, c.err = location, err
	close(c.done)
}

// readStored asks where a stored object lies, and reads it there.
func (l *link) readStored(ctx context.Context, id ID, target any) error {
	f := &fetch{done: make(chan struct{})}
	l.mu.Lock()
	if l.over != nil {
		defer l.mu.Unlock()
		return l.over
	}
	l.fetches[id] = append(l.fetches[id], f)
	l.post(wire.AppendOp(nil, opFetch, wire.AppendID(nil, 1, id)))
	l.mu.Unlock()
	unblock := block(ctx, l)
	defer unblock()
	l.sess.Flush()
	if !garbage.await(ctx, f.done) {
		l.mu.Lock()
		defer l.mu.Unlock()
		select {
		case <-f.done:
			l.abandon(id, f)
		default:
			f.abandoned = true
		}
		return waited(ctx, "the object %v was not brought near in time; get it again to go on waiting", id)
	}
	if f.err != nil {
		return f.err
	}
	if f.chunks != nil || f.located == nil {
		return l.readObject(f.chunks, f.size, target, nil)
	}
	switch outcome := f.located.GetOutcome().(type) {
	case *pb.Located_Location:
		return l.readPinned(id, wire.Location{
			Arena: outcome.Location.GetArena(), Offset: outcome.Location.GetOffset(), Size: outcome.Location.GetSize(),
		}, target)
	case *pb.Located_Value:
		value := wire.FromPB(outcome.Value)
		return decode(&value, target, l, nil)
	case *pb.Located_Failure:
		return errorOf(outcome.Failure)
	}
	return failed(CodeInternal, "the node located an object in a way that this version does not know")
}

// abandon gives the pin of an answer back that nobody wants any more. mu is held.
func (l *link) abandon(id ID, f *fetch) {
	if f.located.GetLocation().GetArena() != 0 {
		l.releaseLater(id)
	}
}

// readPinned reads an object where it lies. Its pin, which the node has given already, ends with what is read in place, or here.
func (l *link) readPinned(id ID, at wire.Location, target any) error {
	bytes, err := l.arenas.Read(at.Arena, at.Offset, at.Size)
	if err != nil {
		l.releaseLater(id)
		return failed(CodeInternal, "%v", err)
	}
	p := new(pin)
	cleanup := runtime.AddCleanup(p, l.unpin, id)
	pinned, err := l.readObjectPinned(bytes, at.Size, target, p)
	runtime.KeepAlive(p)
	if pinned {
		garbage.pinned()
	} else {
		cleanup.Stop()
		l.releaseLater(id)
	}
	return err
}

// unpin is called when nothing refers any more to what was read in place.
func (l *link) unpin(id ID) {
	garbage.unpinned()
	l.releaseLater(id)
}

func (l *link) readObject(object []byte, size uint64, target any, p *pin) error {
	_, err := l.readObjectPinned(object, size, target, p)
	return err
}

func (l *link) readObjectPinned(object []byte, size uint64, target any, p *pin) (bool, error) {
	layout, err := header.Read(object, size)
	if err != nil {
		return false, failed(CodeUnsupportedFormat, "%v", err)
	}
	cut := func(span header.Span) []byte {
		end := span.Offset + span.Length
		return object[span.Offset:end:end]
	}
	value := wire.Value{Format: layout.Format, Schema: layout.Schema, Data: cut(layout.Data)}
	for _, span := range layout.Buffers {
		value.Buffers = append(value.Buffers, cut(span))
	}
	return decodePinned(&value, target, l, p)
}

func (l *link) handleLocated(located *pb.Located) {
	id, ok := wire.ParseID(located.GetObject())
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.fetches[id]
	if at := located.GetLocation(); at != nil && at.GetArena() == 0 && len(waiting) > 0 {
		// The bytes follow; only behind the last is it somebody else's turn. Memory grows as they come.
		waiting[0].size = at.GetSize()
		waiting[0].chunks = []byte{}
		if at.GetSize() > 0 {
			return
		}
	}
	l.located(id, located, nil)
}

// located answers whoever asked first. mu is held.
func (l *link) located(id ID, located *pb.Located, err error) {
	waiting := l.fetches[id]
	if len(waiting) == 0 {
		return
	}
	f := waiting[0]
	if len(waiting) == 1 {
		delete(l.fetches, id)
	} else {
		l.fetches[id] = waiting[1:]
	}
	f.finish(located, err)
	if f.abandoned {
		l.abandon(id, f)
	}
}

func (l *link) handleChunk(msg []byte) error {
	var chunk pb.Chunk
	if err := proto.Unmarshal(msg, &chunk); err != nil {
		return err
	}
	id, ok := wire.ParseID(chunk.GetObject())
	if !ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.fetches[id]
	if len(waiting) == 0 || waiting[0].chunks == nil {
		return nil
	}
	f := waiting[0]
	if chunk.GetOffset() != uint64(len(f.chunks)) || uint64(len(chunk.GetData())) > f.size-uint64(len(f.chunks)) {
		return fmt.Errorf("bytes %d+%d of an object came after byte %d of %d", chunk.GetOffset(), len(chunk.GetData()), len(f.chunks), f.size)
	}
	f.chunks = append(f.chunks, chunk.GetData()...)
	if uint64(len(f.chunks)) == f.size {
		l.located(id, nil, nil)
	}
	return nil
}

func (l *link) handleArena(msg []byte) error {
	var announced pb.Arena
	if err := proto.Unmarshal(msg, &announced); err != nil {
		return err
	}
	file := l.sess.Descriptor()
	if file == nil {
		return fmt.Errorf("arena %d came without its descriptor", announced.GetNumber())
	}
	if err := l.arenas.Add(announced.GetNumber(), announced.GetSize(), announced.GetWritable(), file); err != nil {
		// What lies there cannot be read, and says so; everything else goes on.
		go l.notice(failed(CodeInternal, "%v", err))
	}
	return nil
}

// write makes an object of an encoded value: room is asked for, filled, and sealed. `task` and `attempt` are those of a result, else zero.
func (l *link) write(ctx context.Context, id ID, value *encoded, task ID, attempt uint32) error {
	defer value.alive()
	lengths := make([]uint64, len(value.Buffers))
	for i, buffer := range value.Buffers {
		lengths[i] = uint64(len(buffer))
	}
	head, layout, err := header.Plan(value.Format, value.Schema, uint64(len(value.Data)), lengths)
	if err != nil {
		return failed(CodeUnserializable, "%v", err)
	}
	at, err := l.create(ctx, id, layout.Size, task, attempt)
	if !task.IsZero() && errors.Is(err, CodeDuplicateID) {
		return nil // An earlier attempt has stored it (DATA-021).
	}
	if err != nil {
		return err
	}
	if at.Arena == 0 {
		err = l.writeChunks(ctx, id, head, &layout, value)
	} else {
		err = l.fillRoom(at, head, &layout, value)
	}
	if err != nil {
		l.abort(id)
		return err
	}
	l.seal(id, value.Refs)
	return l.ended()
}

func (l *link) seal(id ID, refs []ID) {
	msg := wire.AppendID(nil, 1, id)
	for _, ref := range refs {
		msg = wire.AppendID(msg, 2, ref)
	}
	l.post(wire.AppendOp(nil, opSeal, msg))
}

func (l *link) abort(id ID) { l.post(wire.AppendOp(nil, opAbort, wire.AppendID(nil, 1, id))) }

// create asks for room and waits for it. The error has CodeStoreFull, CodeOutOfDisk or CodeLimitExceeded if there is none.
func (l *link) create(ctx context.Context, id ID, size uint64, task ID, attempt uint32) (wire.Location, error) {
	c := &creation{done: make(chan struct{})}
	l.mu.Lock()
	if l.over != nil {
		defer l.mu.Unlock()
		return wire.Location{}, l.over
	}
	l.creates[id] = c
	l.mu.Unlock()
	err := l.postMessage(opCreate, &pb.Create{Object: id[:], Size: size, Task: idBytes(task), Attempt: attempt})
	if err != nil {
		return wire.Location{}, err
	}
	l.sess.Flush()
	if garbage.await(ctx, c.done) {
		return c.location, c.err
	}
	l.mu.Lock()
	delete(l.creates, id)
	l.mu.Unlock()
	// Behind the Create, so whatever became of it is taken back.
	l.abort(id)
	return wire.Location{}, waited(ctx, "the node had no room for an object of %d bytes in time", size)
}

func (l *link) handleCreated(created *pb.Created) {
	id, ok := wire.ParseID(created.GetObject())
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.creates[id]
	if c == nil {
		return // Given up, and aborted.
	}
	delete(l.creates, id)
	if f := created.GetFailure(); f != nil {
		c.finish(wire.Location{}, errorOf(f))
		return
	}
	at := created.GetLocation()
	c.finish(wire.Location{Arena: at.GetArena(), Offset: at.GetOffset(), Size: at.GetSize()}, nil)
}

// fillRoom copies a value into shared memory.
func (l *link) fillRoom(at wire.Location, head []byte, layout *header.Layout, value *encoded) error {
	room, err := l.arenas.Write(at.Arena, at.Offset, at.Size)
	if err != nil {
		return failed(CodeInternal, "%v", err)
	}
	if uint64(len(room)) != layout.Size {
		return failed(CodeInternal, "the node gave room of %d bytes where %d were asked for", len(room), layout.Size)
	}
	copy(room, head)
	copyLarge(room[layout.Data.Offset:], value.Data)
	for i, span := range layout.Buffers {
		copyLarge(room[span.Offset:], value.Buffers[i])
	}
	return nil
}

func copyLarge(target, source []byte) {
	if len(source) < copyAloneMax {
		copy(target, source)
		return
	}
	half := len(source) / 2
	var other sync.WaitGroup
	other.Go(func() { copy(target[half:], source[half:]) })
	copy(target, source[:half])
	other.Wait()
}

// writeChunks sends a value over a carrier without shared memory: every byte in order, zeros in the gaps.
func (l *link) writeChunks(ctx context.Context, id ID, head []byte, layout *header.Layout, value *encoded) error {
	offset := uint64(0)
	send := func(bytes []byte) error {
		for len(bytes) > 0 {
			if err := l.sess.WaitRoom(ctx); err != nil {
				return waited(ctx, "the node did not take an object of %d bytes in time", layout.Size)
			}
			n := min(len(bytes), writeBytes, l.sess.FrameBytes()/2)
			if err := l.postMessage(opWrite, &pb.Write{Object: id[:], Offset: offset, Data: bytes[:n]}); err != nil {
				return err
			}
			l.sess.Flush()
			offset += uint64(n)
			bytes = bytes[n:]
		}
		return nil
	}
	zeros := make([]byte, header.Align)
	if err := send(head); err != nil {
		return err
	}
	parts := append([][]byte{value.Data}, value.Buffers...)
	spans := append([]header.Span{layout.Data}, layout.Buffers...)
	for i, span := range spans {
		if err := send(zeros[:span.Offset-offset]); err != nil {
			return err
		}
		if err := send(parts[i]); err != nil {
			return err
		}
	}
	return nil
}

// put stores an encoded value as a new object.
func (l *link) put(ctx context.Context, value *encoded) (*handle, error) {
	if err := l.ended(); err != nil {
		return nil, err
	}
	id := l.ids.next().WithIndex(1)
	if value.Bytes() > l.inlineBytes {
		// The handle comes behind the seal: before, there is no count that it could give back.
		if err := l.write(ctx, id, value, ID{}, 0); err != nil {
			return nil, err
		}
		return l.expect(id, stateStored), nil
	}
	if err := l.sess.WaitRoom(ctx); err != nil {
		return nil, waited(ctx, "the node takes nothing more")
	}
	h := l.expect(id, statePending)
	msg := wire.AppendID(make([]byte, 0, value.Size()+32), 1, id)
	msg = value.AppendField(msg, 2)
	l.mu.Lock()
	h.slot.value = value.Value
	if len(value.Buffers) > 0 || value.Format == pb.Format_FORMAT_RAW {
		// What was put does not change with the slice that it was put from.
		h.slot.value.Data = append([]byte(nil), value.Data...)
		h.slot.value.Buffers = nil
		for _, buffer := range value.Buffers {
			h.slot.value.Buffers = append(h.slot.value.Buffers, append([]byte(nil), buffer...))
		}
	}
	l.fill(h.slot, stateValue)
	l.mu.Unlock()
	err := l.sess.Send(wire.AppendOp(make([]byte, 0, len(msg)+8), opPut, msg))
	value.alive()
	if err != nil {
		l.forget(h)
		return nil, invalid("%v", err)
	}
	return h, nil
}

// Put stores a value as an object and gives a ref of it. Small ones travel with the next frame; larger ones than Client.InlineBytes are written to the store,
// and Put waits until they are. A []byte of at least 1 KiB is stored as it is, and can be read in place as a View; so can a *Tensor.
//
// The error has CodeUnserializable for a value without a portable form, CodeStoreFull or CodeOutOfDisk where there is no room.
func Put[T any](ctx context.Context, client *Client, value T) (Ref[T], error) {
	e, err := encode(any(value))
	if err != nil {
		return Ref[T]{}, err
	}
	h, err := client.link.put(ctx, &e)
	return Ref[T]{h: h}, err
}

// Room is an object that is being made: fill its bytes, then Seal it. Nothing is copied where there is shared memory.
type Room struct {
	link   *link
	id     ID
	data   []byte
	head   []byte
	layout header.Layout
	value  encoded
	shared bool
	mu     sync.Mutex
	over   bool
}

// Create asks for an object of so many raw bytes, and waits for the room. It must be sealed or aborted.
func (c *Client) Create(ctx context.Context, bytes int) (*Room, error) {
	return c.createRoom(ctx, wire.Value{Format: pb.Format_FORMAT_RAW}, bytes)
}

// CreateTensor asks for a tensor of a dtype and shape, in C order.
func (c *Client) CreateTensor(ctx context.Context, dtype string, shape ...int) (*Room, error) {
	count, ok := elementCount(shape)
	size := itemSize(dtype)
	if !ok || size == 0 || count > 1<<62/size {
		return nil, invalid("a tensor of %q and shape %v has no size", dtype, shape)
	}
	t := Tensor{DType: dtype, Shape: shape}
	return c.createRoom(ctx, wire.Value{Format: pb.Format_FORMAT_TENSOR, Schema: t.schema()}, count*size)
}

func (c *Client) createRoom(ctx context.Context, value wire.Value, bytes int) (*Room, error) {
	if bytes < 0 {
		return nil, invalid("an object cannot have %d bytes", bytes)
	}
	data, buffers := uint64(bytes), []uint64(nil)
	if value.Format == pb.Format_FORMAT_TENSOR {
		data, buffers = 0, []uint64{uint64(bytes)}
	}
	head, layout, err := header.Plan(value.Format, value.Schema, data, buffers)
	if err != nil {
		return nil, failed(CodeUnserializable, "%v", err)
	}
	l := c.link
	r := &Room{link: l, id: l.ids.next().WithIndex(1), head: head, layout: layout, value: encoded{Value: value}}
	at, err := l.create(ctx, r.id, layout.Size, ID{}, 0)
	if err != nil {
		return nil, err
	}
	span := layout.Data
	if len(layout.Buffers) > 0 {
		span = layout.Buffers[0]
	}
	if at.Arena == 0 {
		r.data = make([]byte, bytes)
		return r, nil
	}
	room, err := l.arenas.Write(at.Arena, at.Offset, at.Size)
	if err == nil && uint64(len(room)) != layout.Size {
		err = fmt.Errorf("the node gave room of %d bytes where %d were asked for", len(room), layout.Size)
	}
	if err != nil {
		l.abort(r.id)
		return nil, failed(CodeInternal, "%v", err)
	}
	copy(room, head)
	r.shared = true
	r.data = room[span.Offset : span.Offset+span.Length : span.Offset+span.Length]
	return r, nil
}

// Bytes is what to fill: all of it, for it is not cleared. It must not be touched after Seal or Abort.
func (r *Room) Bytes() []byte { return r.data }

// Seal makes the object whole and unchangeable, and gives a ref of it.
func (r *Room) Seal(ctx context.Context) (Ref[View], error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return Ref[View]{}, invalid("the room was sealed or aborted already")
	}
	if err := r.link.ended(); err != nil {
		return Ref[View]{}, err
	}
	if !r.shared {
		if len(r.layout.Buffers) > 0 {
			r.value.Buffers = [][]byte{r.data}
		} else {
			r.value.Data = r.data
		}
		if err := r.link.writeChunks(ctx, r.id, r.head, &r.layout, &r.value); err != nil {
			return Ref[View]{}, err
		}
	}
	r.over = true
	r.data = nil
	r.link.seal(r.id, nil)
	return Ref[View]{h: r.link.expect(r.id, stateStored)}, nil
}

// Abort gives the room back. After Seal it does nothing, so it can be deferred.
func (r *Room) Abort() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		r.over = true
		r.data = nil
		r.link.abort(r.id)
	}
}
