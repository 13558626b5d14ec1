package thornback

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

// Extension types of protocol/spec/value.md.
const (
	extRef       = 1
	extActor     = 2
	extTensor    = 3
	extTimestamp = -1
	extUUID      = 5
	extBigInt    = 6
	extStream    = 7
	extUserMin   = 64
)

const (
	// depthMax is how deep a value may be nested (VALUE-012).
	depthMax = 512
	// Byte slices from here on are values of raw bytes, which receivers can read in place.
	rawBytesMin = 1024
)

// encoded is a value ready to travel, and what must stay alive until it does.
type encoded struct {
	wire.Value
	keep []any
}

// reference is what stands for something of the node's inside a value.
type reference interface {
	reference() (ext int8, id ID, keep any, err error)
}

type encoder struct {
	data    []byte
	refs    []ID
	seen    map[ID]struct{}
	keep    []any
	buffers [][]byte
	depth   int
}

// encode makes a value portable. The error is CodeUnserializable, with the path to what is in the way.
func encode(v any) (encoded, error) {
	switch v := v.(type) {
	case []byte:
		if len(v) >= rawBytesMin {
			return encoded{Value: wire.Value{Format: pb.Format_FORMAT_RAW, Data: v}}, nil
		}
	case View:
		if len(v.data) >= rawBytesMin {
			return encoded{Value: wire.Value{Format: pb.Format_FORMAT_RAW, Data: v.data}, keep: []any{v.pin}}, nil
		}
	case *Tensor:
		if v != nil {
			if err := v.check(); err != nil {
				return encoded{}, failed(CodeUnserializable, "%v", err)
			}
			e := encoded{Value: wire.Value{Format: pb.Format_FORMAT_TENSOR, Schema: v.schema()}, keep: []any{v}}
			e.Buffers = [][]byte{v.data}
			return e, nil
		}
	}
	e := encoder{}
	if err := e.any(v); err != nil {
		return encoded{}, err
	}
	return encoded{Value: wire.Value{Format: pb.Format_FORMAT_MSGPACK, Data: e.data, Refs: e.refs, Buffers: e.buffers}, keep: e.keep}, nil
}

func (e *encoder) fail(format string, args ...any) error {
	return failed(CodeUnserializable, "the value %s", fmt.Sprintf(format, args...))
}

func (e *encoder) enter() error {
	if e.depth++; e.depth > depthMax {
		return e.fail("is nested deeper than %d, or contains itself", depthMax)
	}
	return nil
}

// any writes what programs mostly have without reflection.
func (e *encoder) any(v any) error {
	switch v := v.(type) {
	case nil:
		e.data = append(e.data, 0xc0)
	case bool:
		e.bool(v)
	case int:
		e.data = appendInt(e.data, int64(v))
	case int64:
		e.data = appendInt(e.data, v)
	case uint64:
		e.data = appendUint(e.data, v)
	case float64:
		e.data = appendFloat(e.data, v)
	case string:
		return e.string(v)
	case []byte:
		return e.bytes(v)
	default:
		return e.value(reflect.ValueOf(v))
	}
	return nil
}

var (
	timeType          = reflect.TypeFor[time.Time]()
	bigIntType        = reflect.TypeFor[big.Int]()
	uuidType          = reflect.TypeFor[UUID]()
	extType           = reflect.TypeFor[Ext]()
	mapType           = reflect.TypeFor[Map]()
	viewType          = reflect.TypeFor[View]()
	tensorType        = reflect.TypeFor[Tensor]()
	referenceType     = reflect.TypeFor[reference]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
)

func (e *encoder) value(v reflect.Value) error {
	t := v.Type()
	if t.Implements(referenceType) && (v.Kind() != reflect.Pointer || !v.IsNil()) {
		return e.reference(v.Interface().(reference))
	}
	switch t {
	case timeType:
		return e.time(v.Interface().(time.Time))
	case bigIntType:
		n := v.Interface().(big.Int) //nolint:govet // A copy that is only read.
		return e.bigInt(&n)
	case uuidType:
		id := v.Interface().(UUID)
		e.ext(extUUID, id[:])
		return nil
	case extType:
		return e.userExt(v.Interface().(Ext))
	case mapType:
		return e.entries(v.Interface().(Map))
	case viewType:
		view := v.Interface().(View)
		e.keep = append(e.keep, view.pin)
		return e.bytes(view.data)
	}
	switch v.Kind() {
	case reflect.Bool:
		e.bool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.data = appendInt(e.data, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		e.data = appendUint(e.data, v.Uint())
	case reflect.Float32, reflect.Float64:
		e.data = appendFloat(e.data, v.Float())
	case reflect.String:
		return e.string(v.String())
	case reflect.Pointer:
		return e.pointer(v)
	case reflect.Interface:
		if v.IsNil() {
			e.data = append(e.data, 0xc0)
			return nil
		}
		return e.any(v.Elem().Interface())
	case reflect.Slice, reflect.Array:
		return e.list(v)
	case reflect.Map:
		return e.mapping(v)
	case reflect.Struct:
		if t.Implements(textMarshalerType) {
			return e.text(v.Interface().(encoding.TextMarshaler))
		}
		return e.structure(v)
	default:
		return e.fail("is a %s, which has no portable form; use nil, bool, numbers, strings, slices, maps, structs, time.Time, *big.Int, UUID, *Tensor or refs", t)
	}
	return nil
}

func (e *encoder) pointer(v reflect.Value) error {
	if v.IsNil() {
		e.data = append(e.data, 0xc0)
		return nil
	}
	switch v.Type().Elem() {
	case bigIntType:
		return e.bigInt(v.Interface().(*big.Int))
	case tensorType:
		return e.tensor(v.Interface().(*Tensor))
	}
	if v.Type().Elem() != timeType && v.Type().Implements(textMarshalerType) {
		return e.text(v.Interface().(encoding.TextMarshaler))
	}
	if err := e.enter(); err != nil {
		return err
	}
	err := e.value(v.Elem())
	e.depth--
	return err
}

func (e *encoder) bool(v bool) {
	if v {
		e.data = append(e.data, 0xc3)
	} else {
		e.data = append(e.data, 0xc2)
	}
}

func appendInt(b []byte, v int64) []byte {
	switch {
	case v >= 0:
		return appendUint(b, uint64(v))
	case v >= -32:
		return append(b, byte(v))
	case v >= math.MinInt8:
		return append(b, 0xd0, byte(v))
	case v >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
}

func appendUint(b []byte, v uint64) []byte {
	switch {
	case v < 128:
		return append(b, byte(v))
	case v <= math.MaxUint8:
		return append(b, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), v)
}

func appendFloat(b []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(v))
}

func (e *encoder) string(v string) error {
	if !utf8.ValidString(v) {
		return e.fail("is a string that is not UTF-8; use []byte for bytes")
	}
	n := len(v)
	switch {
	case n < 32:
		e.data = append(e.data, 0xa0|byte(n))
	case n <= math.MaxUint8:
		e.data = append(e.data, 0xd9, byte(n))
	case n <= math.MaxUint16:
		e.data = binary.BigEndian.AppendUint16(append(e.data, 0xda), uint16(n))
	case n <= math.MaxUint32:
		e.data = binary.BigEndian.AppendUint32(append(e.data, 0xdb), uint32(n))
	default:
		return e.fail("is a string of %d bytes; MessagePack has 4 GiB at most", n)
	}
	e.data = append(e.data, v...)
	return nil
}

func (e *encoder) bytes(v []byte) error {
	if v == nil {
		e.data = append(e.data, 0xc0)
		return nil
	}
	n := len(v)
	switch {
	case n <= math.MaxUint8:
		e.data = append(e.data, 0xc4, byte(n))
	case n <= math.MaxUint16:
		e.data = binary.BigEndian.AppendUint16(append(e.data, 0xc5), uint16(n))
	case n <= math.MaxUint32:
		e.data = binary.BigEndian.AppendUint32(append(e.data, 0xc6), uint32(n))
	default:
		return e.fail("is %d bytes; MessagePack has 4 GiB at most, a []byte on its own more", n)
	}
	e.data = append(e.data, v...)
	return nil
}

func (e *encoder) head(fix, short byte, n int) error {
	switch {
	case n < 16:
		e.data = append(e.data, fix|byte(n))
	case n <= math.MaxUint16:
		e.data = binary.BigEndian.AppendUint16(append(e.data, short), uint16(n))
	case n <= math.MaxUint32:
		e.data = binary.BigEndian.AppendUint32(append(e.data, short+1), uint32(n))
	default:
		return e.fail("has %d elements, more than MessagePack can count", n)
	}
	return nil
}

func (e *encoder) list(v reflect.Value) error {
	if v.Kind() == reflect.Slice {
		if v.IsNil() {
			e.data = append(e.data, 0xc0)
			return nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return e.bytes(v.Bytes())
		}
	} else if v.Type().Elem().Kind() == reflect.Uint8 {
		raw := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(raw), v)
		return e.bytes(raw)
	}
	if err := e.enter(); err != nil {
		return err
	}
	if err := e.head(0x90, 0xdc, v.Len()); err != nil {
		return err
	}
	for i := range v.Len() {
		if err := e.element(v.Index(i)); err != nil {
			return at(err, fmt.Sprintf("[%d]", i))
		}
	}
	e.depth--
	return nil
}

func (e *encoder) element(v reflect.Value) error {
	if v.Kind() == reflect.Interface {
		if v.IsNil() {
			e.data = append(e.data, 0xc0)
			return nil
		}
		return e.any(v.Elem().Interface())
	}
	return e.value(v)
}

// at adds a step to the path in an error, on the way out: nothing is spent on it while all goes well.
func at(err error, step string) error {
	own, ok := err.(*Error)
	if !ok || own.Code != CodeUnserializable {
		return err
	}
	rest, ok := strings.CutPrefix(own.Message, "the value ")
	if ok {
		own.Message = "value" + step + " " + rest
	} else if rest, ok := strings.CutPrefix(own.Message, "value"); ok && len(own.Message) < 512 {
		own.Message = "value" + step + rest
	}
	return own
}

func (e *encoder) mapping(v reflect.Value) error {
	if v.IsNil() {
		e.data = append(e.data, 0xc0)
		return nil
	}
	if err := e.enter(); err != nil {
		return err
	}
	if err := e.head(0x80, 0xde, v.Len()); err != nil {
		return err
	}
	keys := v.MapKeys()
	if v.Type().Key().Kind() == reflect.String {
		// The same map gives the same bytes, which is good for whoever compares them.
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	}
	for _, key := range keys {
		if err := e.element(key); err != nil {
			return at(err, fmt.Sprintf("[key %v]", key))
		}
		if err := e.element(v.MapIndex(key)); err != nil {
			return at(err, fmt.Sprintf("[%q]", fmt.Sprint(key)))
		}
	}
	e.depth--
	return nil
}

func (e *encoder) entries(m Map) error {
	if m == nil {
		e.data = append(e.data, 0xc0)
		return nil
	}
	if err := e.enter(); err != nil {
		return err
	}
	if err := e.head(0x80, 0xde, len(m)); err != nil {
		return err
	}
	for _, entry := range m {
		if err := e.any(entry.Key); err != nil {
			return at(err, "[a key]")
		}
		if err := e.any(entry.Value); err != nil {
			return at(err, fmt.Sprintf("[%v]", entry.Key))
		}
	}
	e.depth--
	return nil
}

func (e *encoder) structure(v reflect.Value) error {
	info := fieldsOf(v.Type())
	if err := e.enter(); err != nil {
		return err
	}
	count := len(info.list)
	if info.omits {
		for i := range info.list {
			if f := &info.list[i]; f.omitEmpty && v.FieldByIndex(f.index).IsZero() {
				count--
			}
		}
	}
	if err := e.head(0x80, 0xde, count); err != nil {
		return err
	}
	for i := range info.list {
		f := &info.list[i]
		field := v.FieldByIndex(f.index)
		if f.omitEmpty && field.IsZero() {
			continue
		}
		if err := e.string(f.name); err != nil {
			return err
		}
		if err := e.element(field); err != nil {
			return at(err, "."+f.name)
		}
	}
	e.depth--
	return nil
}

func (e *encoder) text(v encoding.TextMarshaler) error {
	text, err := v.MarshalText()
	if err != nil {
		return e.fail("cannot be written as text: %v", err)
	}
	return e.string(string(text))
}

func (e *encoder) ext(kind int8, payload []byte) {
	switch n := len(payload); n {
	case 1, 2, 4, 8, 16:
		fix := map[int]byte{1: 0xd4, 2: 0xd5, 4: 0xd6, 8: 0xd7, 16: 0xd8}[n]
		e.data = append(e.data, fix, byte(kind))
	default:
		switch {
		case n <= math.MaxUint8:
			e.data = append(e.data, 0xc7, byte(n), byte(kind))
		case n <= math.MaxUint16:
			e.data = append(binary.BigEndian.AppendUint16(append(e.data, 0xc8), uint16(n)), byte(kind))
		default:
			e.data = append(binary.BigEndian.AppendUint32(append(e.data, 0xc9), uint32(n)), byte(kind))
		}
	}
	e.data = append(e.data, payload...)
}

func (e *encoder) userExt(v Ext) error {
	if v.Type < extUserMin {
		return e.fail("is an extension of type %d; those of users are 64 to 127", v.Type)
	}
	if uint64(len(v.Data)) > math.MaxUint32 {
		return e.fail("is an extension of %d bytes; MessagePack has 4 GiB at most", len(v.Data))
	}
	e.ext(v.Type, v.Data)
	return nil
}

func (e *encoder) time(v time.Time) error {
	seconds, nanos := v.Unix(), uint64(v.Nanosecond())
	switch {
	case seconds >= 0 && seconds <= math.MaxUint32 && nanos == 0:
		e.ext(extTimestamp, binary.BigEndian.AppendUint32(nil, uint32(seconds)))
	case seconds >= 0 && seconds < 1<<34:
		e.ext(extTimestamp, binary.BigEndian.AppendUint64(nil, nanos<<34|uint64(seconds)))
	default:
		e.ext(extTimestamp, binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, uint32(nanos)), uint64(seconds)))
	}
	return nil
}

func (e *encoder) bigInt(v *big.Int) error {
	switch {
	case v.IsInt64():
		e.data = appendInt(e.data, v.Int64())
	case v.IsUint64():
		e.data = appendUint(e.data, v.Uint64())
	default:
		sign := byte(0)
		if v.Sign() < 0 {
			sign = 1
		}
		e.ext(extBigInt, append([]byte{sign}, v.Bytes()...))
	}
	return nil
}

func (e *encoder) tensor(t *Tensor) error {
	if err := t.check(); err != nil {
		return e.fail("is a tensor that is none: %v", err)
	}
	inner := encoder{}
	inner.data = append(inner.data, 0x94)
	if err := inner.string(t.DType); err != nil {
		return err
	}
	for _, list := range [][]int{t.Shape, t.Strides} {
		if err := inner.any(list); err != nil {
			return err
		}
	}
	inner.data = appendInt(inner.data, int64(len(e.buffers)))
	e.buffers = append(e.buffers, t.data)
	e.keep = append(e.keep, t)
	e.ext(extTensor, inner.data)
	return nil
}

func (e *encoder) reference(v reference) error {
	kind, id, keep, err := v.reference()
	if err != nil {
		return e.fail("cannot be passed on: %v", err)
	}
	if e.seen == nil {
		e.seen = map[ID]struct{}{}
	}
	if _, ok := e.seen[id]; !ok {
		e.seen[id] = struct{}{}
		e.refs = append(e.refs, id)
	}
	e.keep = append(e.keep, keep)
	if kind != extActor {
		e.ext(kind, id[:])
		return nil
	}
	actor, ok := v.(*Actor)
	if !ok {
		return e.fail("is no actor handle")
	}
	inner := encoder{data: []byte{0x93}}
	if err := inner.bytes(id[:]); err != nil {
		return err
	}
	if err := inner.string(actor.class); err != nil {
		return err
	}
	if err := inner.bytes(nonNil(actor.iface)); err != nil {
		return err
	}
	e.ext(extActor, inner.data)
	return nil
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// alive keeps what a value points to from being collected until here.
func (e *encoded) alive() { runtime.KeepAlive(e.keep) }

// structField is one field of a struct that travels.
type structField struct {
	name      string
	index     []int
	omitEmpty bool
}

type structInfo struct {
	list   []structField
	byName map[string]int
	omits  bool
}

var structInfos sync.Map // reflect.Type to *structInfo.

// fieldsOf is the exported fields of a struct under the names of their tags: `thornback:"name,omitempty"`, else that of `json`, else the field's own.
func fieldsOf(t reflect.Type) *structInfo {
	if info, ok := structInfos.Load(t); ok {
		return info.(*structInfo)
	}
	info := &structInfo{byName: map[string]int{}}
	for _, f := range reflect.VisibleFields(t) {
		tag, ok := f.Tag.Lookup("thornback")
		if !ok {
			tag, ok = f.Tag.Lookup("json")
		}
		name, options, _ := strings.Cut(tag, ",")
		embedded := f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct
		if !f.IsExported() || embedded || ok && tag == "-" || throughPointer(t, f.Index) {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if _, taken := info.byName[name]; taken {
			continue
		}
		omit := slices.Contains(strings.Split(options, ","), "omitempty") || slices.Contains(strings.Split(options, ","), "omitzero")
		info.byName[name] = len(info.list)
		info.list = append(info.list, structField{name, f.Index, omit})
		info.omits = info.omits || omit
	}
	actual, _ := structInfos.LoadOrStore(t, info)
	return actual.(*structInfo)
}

// throughPointer reports whether a promoted field lies behind an embedded pointer, which may be nil.
func throughPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		f := t.Field(i)
		if f.Type.Kind() == reflect.Pointer || !f.IsExported() && f.Type.Kind() != reflect.Struct {
			return true
		}
		t = f.Type
	}
	return false
}
