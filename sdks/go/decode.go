package thornback

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"time"
	"unicode/utf8"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

// decoder reads one value. What it reads came from another process, so nothing in it is believed: lengths are checked before memory is reserved for them.
type decoder struct {
	data    []byte
	at      int
	depth   int
	buffers [][]byte
	// Keeps what lies in shared memory; nil where the bytes are ours.
	pin *pin
	// Something that was read lies there.
	pinned bool
	// The session whose refs these are; nil in tests of the encoding alone.
	link *link
	// Refs that were found, to be counted together.
	found []foundRef
}

// foundRef is a handle that is not of any slot yet.
type foundRef struct {
	id     ID
	handle *handle
}

// Errors that say what the bytes are, and not which value: the caller adds that.
var (
	errCut = errors.New("it is cut short")
)

func unsupported(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	return failed(CodeUnsupportedFormat, "a value cannot be read: %v", err)
}

// mismatch is a value of another type than the program asked for.
type mismatch struct{ what, want string }

func (m *mismatch) Error() string {
	return fmt.Sprintf("the value is %s and cannot be read as %s", m.what, m.want)
}

func mismatched(what string, want reflect.Type) error { return &mismatch{what, want.String()} }

// decode reads a value into what `target` points to. The error is CodeUnsupportedFormat for bytes that cannot be read, CodeInvalidArgument for a value
// of another type.
func decode(v *wire.Value, target any, l *link, p *pin) error {
	_, err := decodePinned(v, target, l, p)
	return err
}

// decodePinned is decode, and whether what it read lies in the pinned bytes.
func decodePinned(v *wire.Value, target any, l *link, p *pin) (bool, error) {
	if v.Format == pb.Format_FORMAT_MSGPACK && small(v.Data, target) {
		return false, nil
	}
	d := decoder{data: v.Data, buffers: v.Buffers, pin: p, link: l}
	err := d.decode(v, target)
	// Counted in any case: each takes its count back when it goes.
	if len(d.found) > 0 {
		l.adopt(d.found)
	}
	var m *mismatch
	if errors.As(err, &m) {
		err = invalid("%s", m.Error())
	}
	return d.pinned, err
}

func (d *decoder) decode(v *wire.Value, target any) error {
	switch v.Format {
	case pb.Format_FORMAT_MSGPACK:
		if err := d.into(reflect.ValueOf(target).Elem()); err != nil {
			var m *mismatch
			if errors.As(err, &m) {
				return err
			}
			return unsupported(err)
		}
		if d.at != len(d.data) {
			return unsupported(fmt.Errorf("%d bytes are left over", len(d.data)-d.at))
		}
		return nil
	case pb.Format_FORMAT_RAW:
		return d.bytes(d.data, reflect.ValueOf(target).Elem())
	case pb.Format_FORMAT_TENSOR:
		t, err := parseSchema(v.Schema)
		if err != nil {
			return err
		}
		if len(v.Buffers) > 0 {
			t.data = v.Buffers[0]
		}
		return d.setTensor(t, reflect.ValueOf(target).Elem())
	}
	name := v.Schema
	if name == "" {
		name = v.Format.String()
	}
	e := failed(CodeUnsupportedFormat, "the value is in the format %q, which Go cannot read; its sender should use a portable one (MessagePack, raw bytes, tensor)", name)
	e.Details = map[string]string{"format": name}
	return e
}

// small reads the commonest small results without a decoder. False if it is something else; nothing is then read.
func small(data []byte, target any) bool {
	switch t := target.(type) {
	case *int:
		n, ok := smallInt(data)
		if ok = ok && int64(int(n)) == n; ok {
			*t = int(n)
		}
		return ok
	case *int64:
		n, ok := smallInt(data)
		if ok {
			*t = n
		}
		return ok
	case *any:
		if ok := len(data) == 1 && data[0] == 0xc0; ok {
			*t = nil
			return true
		}
		n, ok := smallInt(data)
		if ok {
			*t = n
		}
		return ok
	}
	return false
}

// smallInt reads data that is one integer in the range of an int64.
func smallInt(data []byte) (int64, bool) {
	if len(data) == 0 {
		return 0, false
	}
	head, body := data[0], data[1:]
	switch len(body) {
	case 0:
		return int64(int8(head)), head < 0x80 || head >= 0xe0
	case 1:
		if head == 0xcc {
			return int64(body[0]), true
		}
		return int64(int8(body[0])), head == 0xd0
	case 2:
		n := binary.BigEndian.Uint16(body)
		if head == 0xcd {
			return int64(n), true
		}
		return int64(int16(n)), head == 0xd1
	case 4:
		n := binary.BigEndian.Uint32(body)
		if head == 0xce {
			return int64(n), true
		}
		return int64(int32(n)), head == 0xd2
	case 8:
		n := int64(binary.BigEndian.Uint64(body))
		return n, head == 0xd3 || head == 0xcf && n >= 0
	}
	return 0, false
}

func (d *decoder) need(n int) ([]byte, error) {
	if n < 0 || n > len(d.data)-d.at {
		return nil, errCut
	}
	b := d.data[d.at : d.at+n]
	d.at += n
	return b, nil
}

// token is the head of a value: its kind, and number, length or bits.
type token struct {
	kind  tokenKind
	n     uint64
	bytes []byte
	ext   int8
}

type tokenKind uint8

const (
	tokenNil tokenKind = iota
	tokenFalse
	tokenTrue
	tokenUint
	tokenInt
	tokenFloat
	tokenString
	tokenBytes
	tokenList
	tokenMap
	tokenExt
)

var tokenNames = [...]string{"nil", "a bool", "a bool", "an integer", "an integer", "a float", "a string", "bytes", "a list", "a map", "an extension"}

func (k tokenKind) String() string { return tokenNames[k] }

func (d *decoder) uint(n int) (uint64, error) {
	b, err := d.need(n)
	if err != nil {
		return 0, err
	}
	switch n {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), nil
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), nil
	}
	return binary.BigEndian.Uint64(b), nil
}

func signed(n uint64) token {
	if int64(n) >= 0 {
		return token{kind: tokenUint, n: n}
	}
	return token{kind: tokenInt, n: n}
}

func (d *decoder) next() (token, error) {
	b, err := d.need(1)
	if err != nil {
		return token{}, err
	}
	head := b[0]
	switch {
	case head < 0x80:
		return token{kind: tokenUint, n: uint64(head)}, nil
	case head >= 0xe0:
		return signed(uint64(int64(int8(head)))), nil
	case head < 0x90:
		return token{kind: tokenMap, n: uint64(head & 0x0f)}, d.plausible(uint64(head&0x0f), 2)
	case head < 0xa0:
		return token{kind: tokenList, n: uint64(head & 0x0f)}, d.plausible(uint64(head&0x0f), 1)
	case head < 0xc0:
		return d.text(tokenString, uint64(head&0x1f))
	}
	switch head {
	case 0xc0:
		return token{kind: tokenNil}, nil
	case 0xc2:
		return token{kind: tokenFalse}, nil
	case 0xc3:
		return token{kind: tokenTrue}, nil
	case 0xc4, 0xc5, 0xc6:
		return d.sized(tokenBytes, 1<<(head-0xc4))
	case 0xc7, 0xc8, 0xc9:
		n, err := d.uint(1 << (head - 0xc7))
		if err != nil {
			return token{}, err
		}
		return d.extension(n)
	case 0xca:
		n, err := d.uint(4)
		return token{kind: tokenFloat, n: math.Float64bits(float64(math.Float32frombits(uint32(n))))}, err
	case 0xcb:
		n, err := d.uint(8)
		return token{kind: tokenFloat, n: n}, err
	case 0xcc, 0xcd, 0xce, 0xcf:
		n, err := d.uint(1 << (head - 0xcc))
		return token{kind: tokenUint, n: n}, err
	case 0xd0, 0xd1, 0xd2, 0xd3:
		size := 1 << (head - 0xd0)
		n, err := d.uint(size)
		shift := 64 - 8*size
		return signed(uint64(int64(n<<shift) >> shift)), err
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return d.extension(1 << (head - 0xd4))
	case 0xd9, 0xda, 0xdb:
		return d.sized(tokenString, 1<<(head-0xd9))
	case 0xdc, 0xdd:
		n, err := d.uint(2 << (head - 0xdc))
		if err != nil {
			return token{}, err
		}
		return token{kind: tokenList, n: n}, d.plausible(n, 1)
	case 0xde, 0xdf:
		n, err := d.uint(2 << (head - 0xde))
		if err != nil {
			return token{}, err
		}
		return token{kind: tokenMap, n: n}, d.plausible(n, 2)
	}
	return token{}, fmt.Errorf("it has the byte 0x%02x, which means nothing", head)
}

// plausible refuses a length that the bytes left cannot keep: each element takes at least one.
func (d *decoder) plausible(n, each uint64) error {
	if n*each > uint64(len(d.data)-d.at) {
		return errCut
	}
	return nil
}

func (d *decoder) sized(kind tokenKind, width int) (token, error) {
	n, err := d.uint(width)
	if err != nil {
		return token{}, err
	}
	return d.text(kind, n)
}

func (d *decoder) text(kind tokenKind, n uint64) (token, error) {
	if n > math.MaxInt32*2 {
		return token{}, errCut
	}
	b, err := d.need(int(n))
	if err != nil {
		return token{}, err
	}
	if kind == tokenString && !utf8.Valid(b) {
		return token{}, errors.New("a string in it is not UTF-8")
	}
	return token{kind: kind, bytes: b}, nil
}

func (d *decoder) extension(n uint64) (token, error) {
	kind, err := d.need(1)
	if err != nil {
		return token{}, err
	}
	b, err := d.need(int(n))
	return token{kind: tokenExt, bytes: b, ext: int8(kind[0])}, err
}

func (d *decoder) enter() error {
	if d.depth++; d.depth > depthMax {
		return fmt.Errorf("it is nested deeper than %d", depthMax)
	}
	return nil
}

// anything reads what is there as the Go type that fits it best.
func (d *decoder) anything() (any, error) {
	t, err := d.next()
	if err != nil {
		return nil, err
	}
	switch t.kind {
	case tokenNil:
		return nil, nil
	case tokenFalse, tokenTrue:
		return t.kind == tokenTrue, nil
	case tokenUint:
		if t.n > math.MaxInt64 {
			return t.n, nil
		}
		return int64(t.n), nil
	case tokenInt:
		return int64(t.n), nil
	case tokenFloat:
		return math.Float64frombits(t.n), nil
	case tokenString:
		return string(t.bytes), nil
	case tokenBytes:
		return append([]byte{}, t.bytes...), nil
	case tokenList:
		return d.anyList(t.n)
	case tokenMap:
		return d.anyMap(t.n)
	}
	return d.anyExt(t)
}

func (d *decoder) anyList(n uint64) (any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	// Capacity grows as elements come: sixteen bytes an element for one on the wire would be a gift to liars.
	list := make([]any, 0, min(n, 1024))
	for range n {
		v, err := d.anything()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	d.depth--
	return list, nil
}

func (d *decoder) anyMap(n uint64) (any, error) {
	entries, err := d.entries(n)
	if err != nil {
		return nil, err
	}
	strings, hashable := true, true
	for _, entry := range entries {
		if _, ok := entry.Key.(string); !ok {
			strings = false
		}
		// A ref inside a key is set only later, and NaN is unlike itself.
		switch key := entry.Key.(type) {
		case nil, bool, int64, uint64, string, UUID, time.Time:
		case float64:
			hashable = hashable && key == key
		default:
			hashable = false
		}
	}
	switch {
	case strings:
		m := make(map[string]any, len(entries))
		for _, entry := range entries {
			m[entry.Key.(string)] = entry.Value
		}
		if len(m) == len(entries) {
			return m, nil
		}
	case hashable:
		m := make(map[any]any, len(entries))
		for _, entry := range entries {
			m[entry.Key] = entry.Value
		}
		if len(m) == len(entries) {
			return m, nil
		}
	}
	return entries, nil
}

func (d *decoder) entries(n uint64) (Map, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	entries := make(Map, 0, min(n, 1024))
	for range n {
		key, err := d.anything()
		if err != nil {
			return nil, err
		}
		value, err := d.anything()
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{key, value})
	}
	d.depth--
	return entries, nil
}

func (d *decoder) anyExt(t token) (any, error) {
	switch t.ext {
	case extRef:
		h, err := d.ref(t.bytes)
		return Ref[any]{h: h}, err
	case extStream:
		h, err := d.ref(t.bytes)
		return StreamRef{h}, err
	case extActor:
		return d.actor(t.bytes)
	case extTensor:
		return d.tensor(t.bytes)
	case extTimestamp:
		return timestamp(t.bytes)
	case extUUID:
		if len(t.bytes) != len(UUID{}) {
			return nil, fmt.Errorf("a UUID in it has %d bytes", len(t.bytes))
		}
		return UUID(t.bytes), nil
	case extBigInt:
		return bigInt(t.bytes)
	}
	if t.ext >= extUserMin {
		return Ext{t.ext, append([]byte{}, t.bytes...)}, nil
	}
	return nil, fmt.Errorf("it holds MessagePack extension %d, which this version does not know", t.ext)
}

// ref makes a handle for an id in the value. It is the value's at once, and gets its slot when all of them are counted together.
func (d *decoder) ref(b []byte) (*handle, error) {
	id, ok := wire.ParseID(b)
	if !ok {
		return nil, fmt.Errorf("an id in it has %d bytes and not 16", len(b))
	}
	if d.link == nil {
		return &handle{slot: &slot{id: id}}, nil
	}
	h := new(handle)
	d.found = append(d.found, foundRef{id, h})
	return h, nil
}

func (d *decoder) actor(b []byte) (*Actor, error) {
	inner := decoder{data: b}
	list, err := inner.anything()
	if err != nil || inner.at != len(b) {
		return nil, errors.New("an actor handle in it cannot be read")
	}
	parts, _ := list.([]any)
	if len(parts) != 3 {
		return nil, errors.New("an actor handle in it has not three parts")
	}
	id, ok1 := parts[0].([]byte)
	class, ok2 := parts[1].(string)
	iface, ok3 := parts[2].([]byte)
	if !ok1 || !ok2 || !ok3 {
		return nil, errors.New("an actor handle in it has parts of other types")
	}
	h, err := d.ref(id)
	return &Actor{h: h, class: class, iface: iface}, err
}

func (d *decoder) tensor(b []byte) (*Tensor, error) {
	inner := decoder{data: b}
	list, err := inner.anything()
	if err != nil || inner.at != len(b) {
		return nil, errors.New("a tensor in it cannot be read")
	}
	parts, _ := list.([]any)
	if len(parts) != 4 {
		return nil, errors.New("a tensor in it has not four parts")
	}
	d.pinned = true
	t := &Tensor{pin: d.pin}
	var ok bool
	if t.DType, ok = parts[0].(string); !ok {
		return nil, errors.New("a tensor in it has a dtype that is no string")
	}
	if t.Shape, ok = ints(parts[1]); !ok {
		return nil, errors.New("a tensor in it has a shape that is no list of integers")
	}
	if parts[2] != nil {
		if t.Strides, ok = ints(parts[2]); !ok {
			return nil, errors.New("a tensor in it has strides that are no list of integers")
		}
	}
	switch elements := parts[3].(type) {
	case []byte:
		t.data = elements
	case int64:
		if elements < 0 || elements >= int64(len(d.buffers)) {
			return nil, fmt.Errorf("a tensor in it lies in buffer %d, and there are %d", elements, len(d.buffers))
		}
		t.data = d.buffers[elements]
	default:
		return nil, errors.New("a tensor in it has no elements")
	}
	return t, t.check()
}

func ints(v any) ([]int, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]int, len(list))
	for i, one := range list {
		n, ok := one.(int64)
		if !ok {
			return nil, false
		}
		out[i] = int(n)
	}
	return out, true
}

func timestamp(b []byte) (time.Time, error) {
	var seconds int64
	var nanos uint64
	switch len(b) {
	case 4:
		seconds = int64(binary.BigEndian.Uint32(b))
	case 8:
		both := binary.BigEndian.Uint64(b)
		seconds, nanos = int64(both&(1<<34-1)), both>>34
	case 12:
		nanos = uint64(binary.BigEndian.Uint32(b))
		seconds = int64(binary.BigEndian.Uint64(b[4:]))
	default:
		return time.Time{}, fmt.Errorf("a timestamp in it has %d bytes", len(b))
	}
	if nanos >= 1e9 {
		return time.Time{}, fmt.Errorf("a timestamp in it has %d nanoseconds", nanos)
	}
	return time.Unix(seconds, int64(nanos)).UTC(), nil
}

func bigInt(b []byte) (*big.Int, error) {
	if len(b) < 2 || b[0] > 1 || b[1] == 0 {
		return nil, errors.New("a big integer in it is not written as one")
	}
	n := new(big.Int).SetBytes(b[1:])
	if b[0] == 1 {
		n.Neg(n)
	}
	if n.IsInt64() || n.IsUint64() {
		return nil, fmt.Errorf("%v in it is written as a big integer, and is none", n)
	}
	return n, nil
}

var textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
