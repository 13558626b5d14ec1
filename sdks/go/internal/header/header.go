// Package header reads and writes the header of a stored object: a size-prefixed FlatBuffer (protocol/flatbuffers)
// followed by zeros up to a multiple of 64.
//
// It is written by hand because the schema is small and what is read comes from another process: every offset is
// checked before it is followed. It touches no shared memory itself.
package header

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"thornback.dev/go/internal/pb"
)

// Align is what everything in an object begins at a multiple of.
const Align = 64

// MaxBuffers is how many buffers an object may have (DATA-004).
const MaxBuffers = 65_536

// CPU is the device of objects that say none.
const CPU = 1

// Span is a place in an object, counted from its first byte.
type Span struct{ Offset, Length uint64 }

func (s Span) end() uint64 { return s.Offset + s.Length }

// Layout is where the parts of a value lie in an object.
type Layout struct {
	Format     pb.Format
	Schema     string
	Data       Span
	Buffers    []Span
	DeviceType int32
	DeviceID   int32
	// Bytes in all.
	Size uint64
}

func aligned(n uint64) uint64 { return (n + Align - 1) &^ (Align - 1) }

// Plan lays a value out: the header region, and where what belongs behind it.
func Plan(format pb.Format, schema string, data uint64, buffers []uint64) ([]byte, Layout, error) {
	if len(buffers) > MaxBuffers {
		return nil, Layout{}, fmt.Errorf("a value has %d buffers, and an object at most %d", len(buffers), MaxBuffers)
	}
	layout := Layout{Format: format, Schema: schema, DeviceType: CPU, Data: Span{0, data}}
	end := data
	for _, length := range buffers {
		start := aligned(end)
		layout.Buffers = append(layout.Buffers, Span{start, length})
		end = start + length
		if end < start || end > math.MaxInt64 {
			return nil, Layout{}, errors.New("a value is larger than any object")
		}
	}
	head := write(&layout)
	region := uint64(len(head))
	layout.Data.Offset += region
	for i := range layout.Buffers {
		layout.Buffers[i].Offset += region
	}
	layout.Size = region + end
	return head, layout, nil
}

// The header that `write` makes has its parts in one order, so that every place is known beforehand: 4 bytes of length,
// 4 of root, the vtable, the table at 24, the vector of buffers, the schema. Places count from the object's first byte,
// and so are aligned as FlatBuffers wants them.
const (
	vtableAt  = 8
	vtableLen = 14
	tableAt   = 24
	tableLen  = 40
	schemaIn  = 4
	dataIn    = 8
	buffersIn = 24
	formatIn  = 28
)

func write(l *Layout) []byte {
	le := binary.LittleEndian
	size := tableAt + tableLen
	var vectorAt, schemaAt int
	if len(l.Buffers) > 0 {
		// Its elements, 8-aligned, follow the count.
		vectorAt = size + 4
		size = vectorAt + 4 + 16*len(l.Buffers)
	}
	if l.Schema != "" {
		schemaAt = size
		size += 4 + len(l.Schema) + 1
	}
	size = (size + 3) &^ 3
	b := make([]byte, aligned(uint64(size)))
	le.PutUint32(b, uint32(size-4))
	le.PutUint32(b[4:], tableAt-4)
	le.PutUint16(b[vtableAt:], vtableLen)
	le.PutUint16(b[vtableAt+2:], tableLen)
	le.PutUint16(b[vtableAt+4:], formatIn)
	le.PutUint16(b[vtableAt+8:], dataIn)
	le.PutUint32(b[tableAt:], tableAt-vtableAt)
	le.PutUint64(b[tableAt+dataIn:], l.Data.Offset)
	le.PutUint64(b[tableAt+dataIn+8:], l.Data.Length)
	b[tableAt+formatIn] = byte(l.Format)
	if vectorAt > 0 {
		le.PutUint16(b[vtableAt+10:], buffersIn)
		le.PutUint32(b[tableAt+buffersIn:], uint32(vectorAt-(tableAt+buffersIn)))
		le.PutUint32(b[vectorAt:], uint32(len(l.Buffers)))
		for i, span := range l.Buffers {
			le.PutUint64(b[vectorAt+4+16*i:], span.Offset)
			le.PutUint64(b[vectorAt+4+16*i+8:], span.Length)
		}
	}
	if schemaAt > 0 {
		le.PutUint16(b[vtableAt+6:], schemaIn)
		le.PutUint32(b[tableAt+schemaIn:], uint32(schemaAt-(tableAt+schemaIn)))
		le.PutUint32(b[schemaAt:], uint32(len(l.Schema)))
		copy(b[schemaAt+4:], l.Schema)
	}
	return b
}

// Read takes the header of an object of `size` bytes apart. `object` begins with it; it may be shorter than the object,
// as long as it holds the header.
func Read(object []byte, size uint64) (Layout, error) {
	l, err := read(object, size)
	if err != nil {
		return Layout{}, fmt.Errorf("the header of a stored object cannot be read: %w", err)
	}
	return l, nil
}

func read(object []byte, size uint64) (Layout, error) {
	if len(object) < 8 || size < 8 {
		return Layout{}, errors.New("it is cut short")
	}
	length := uint64(binary.LittleEndian.Uint32(object))
	region := aligned(4 + length)
	if length < 8 || 4+length > uint64(len(object)) || region > size {
		return Layout{}, fmt.Errorf("it says that it has %d bytes", length)
	}
	t := table{buf: object[:4+length]}
	if err := t.open(); err != nil {
		return Layout{}, err
	}
	l := Layout{DeviceType: CPU, Size: size}
	if at, ok, err := t.field(0, 1); err != nil {
		return Layout{}, err
	} else if ok {
		l.Format = pb.Format(t.buf[at])
	}
	if l.Format < pb.Format_FORMAT_RAW || l.Format > pb.Format_FORMAT_PRIVATE {
		return Layout{}, fmt.Errorf("its format %d is unknown", l.Format)
	}
	var err error
	if l.Schema, err = t.text(1); err != nil {
		return Layout{}, err
	}
	l.Data = Span{region, 0}
	if at, ok, err := t.field(2, 16); err != nil {
		return Layout{}, err
	} else if ok {
		if l.Data, err = t.span(at, region, size); err != nil {
			return Layout{}, err
		}
	}
	if l.Buffers, err = t.spans(3, region, size); err != nil {
		return Layout{}, err
	}
	if at, ok, err := t.field(4, 8); err != nil {
		return Layout{}, err
	} else if ok {
		l.DeviceType = int32(t.u32(at))
		l.DeviceID = int32(t.u32(at + 4))
	}
	return l, disjoint(&l)
}

// disjoint refuses parts that overlap (DATA-002). Empty ones overlap nothing.
func disjoint(l *Layout) error {
	spans := make([]Span, 0, len(l.Buffers)+1)
	for _, span := range append([]Span{l.Data}, l.Buffers...) {
		if span.Length > 0 {
			spans = append(spans, span)
		}
	}
	slices.SortFunc(spans, func(a, b Span) int {
		if a.Offset < b.Offset {
			return -1
		}
		return 1
	})
	for i := 1; i < len(spans); i++ {
		if spans[i-1].end() > spans[i].Offset {
			return errors.New("two of its buffers overlap")
		}
	}
	return nil
}

// table is the root table of a FlatBuffer that nobody vouches for.
type table struct {
	buf    []byte
	at     int
	len    int
	vtable []byte
}

var errOutside = errors.New("an offset points outside of it")

func (t *table) u32(at int) uint32 { return binary.LittleEndian.Uint32(t.buf[at:]) }

// within reports whether n bytes at a place lie in the buffer. Whether they are aligned does not matter to one who reads byte by byte, and writers count the
// alignment from different places: from the length, as FlatBuffers does, or from behind it.
func (t *table) within(at, n int) bool {
	return at >= 4 && n >= 0 && at <= len(t.buf) && n <= len(t.buf)-at
}

func (t *table) open() error {
	root := 4 + int64(t.u32(4))
	if root > int64(len(t.buf)) || !t.within(int(root), 4) {
		return errOutside
	}
	t.at = int(root)
	vtable := root - int64(int32(t.u32(t.at)))
	if vtable < 0 || vtable > int64(len(t.buf)) || !t.within(int(vtable), 4) {
		return errOutside
	}
	size := int(binary.LittleEndian.Uint16(t.buf[vtable:]))
	t.len = int(binary.LittleEndian.Uint16(t.buf[vtable+2:]))
	if size < 4 || size%2 != 0 || !t.within(int(vtable), size) || t.len < 4 || !t.within(t.at, t.len) {
		return errOutside
	}
	t.vtable = t.buf[vtable : int(vtable)+size]
	return nil
}

// field is the place of a field of `size` bytes; false if it is absent.
func (t *table) field(slot, size int) (int, bool, error) {
	entry := 4 + 2*slot
	if entry+2 > len(t.vtable) {
		return 0, false, nil
	}
	offset := int(binary.LittleEndian.Uint16(t.vtable[entry:]))
	if offset == 0 {
		return 0, false, nil
	}
	at := t.at + offset
	if offset < 4 || offset+size > t.len || !t.within(at, size) {
		return 0, false, errOutside
	}
	return at, true, nil
}

// vector follows a field to a vector: the place of its first element, and how many there are.
func (t *table) vector(slot, element int) (int, int, bool, error) {
	at, ok, err := t.field(slot, 4)
	if err != nil || !ok {
		return 0, 0, false, err
	}
	start := int64(at) + int64(t.u32(at))
	if start > int64(len(t.buf)) || !t.within(int(start), 4) {
		return 0, 0, false, errOutside
	}
	count := int64(t.u32(int(start)))
	if count*int64(element) > int64(len(t.buf)) || !t.within(int(start)+4, int(count)*element) {
		return 0, 0, false, errOutside
	}
	return int(start) + 4, int(count), true, nil
}

func (t *table) text(slot int) (string, error) {
	at, count, ok, err := t.vector(slot, 1)
	if err != nil || !ok {
		return "", err
	}
	// A string of FlatBuffers has a zero behind it.
	if !t.within(at, count+1) || t.buf[at+count] != 0 {
		return "", errOutside
	}
	text := t.buf[at : at+count]
	if !utf8.Valid(text) {
		return "", errors.New("its schema is not UTF-8")
	}
	return string(text), nil
}

func (t *table) spans(slot int, region, size uint64) ([]Span, error) {
	at, count, ok, err := t.vector(slot, 16)
	if err != nil || !ok {
		return nil, err
	}
	if count > MaxBuffers {
		return nil, fmt.Errorf("it names %d buffers", count)
	}
	spans := make([]Span, count)
	for i := range spans {
		if spans[i], err = t.span(at+16*i, region, size); err != nil {
			return nil, err
		}
	}
	return spans, nil
}

func (t *table) span(at int, region, size uint64) (Span, error) {
	offset := binary.LittleEndian.Uint64(t.buf[at:])
	length := binary.LittleEndian.Uint64(t.buf[at+8:])
	room := size - region
	if offset%Align != 0 || offset > room || length > room-offset {
		return Span{}, fmt.Errorf("a buffer at %d+%d lies outside of the object's %d bytes", offset, length, room)
	}
	return Span{region + offset, length}, nil
}
