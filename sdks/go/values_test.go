package thornback

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

// vectors reads the cases of a file of golden vectors.
func vectors[T any](t testing.TB, name string) []T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "protocol", "vectors", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []T }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) == 0 {
		t.Fatalf("%s has no cases", name)
	}
	return file.Cases
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type valueCase struct {
	Name, Data, Format, Schema, Code string
	Buffers, Refs                    []string
	Value                            map[string]json.RawMessage
}

func (c *valueCase) wire(t testing.TB) wire.Value {
	v := wire.Value{Format: pb.Format(pb.Format_value[c.Format]), Data: unhex(t, c.Data), Schema: c.Schema}
	if c.Format == "" {
		v.Format = pb.Format_FORMAT_MSGPACK
	}
	for _, b := range c.Buffers {
		v.Buffers = append(v.Buffers, unhex(t, b))
	}
	for _, r := range c.Refs {
		v.Refs = append(v.Refs, ID(unhex(t, r)))
	}
	return v
}

// meaning is the Go value that the notation of protocol/vectors/README.md stands for, as it is encoded.
func meaning(t testing.TB, raw map[string]json.RawMessage, buffers []string) any {
	t.Helper()
	for kind, body := range raw {
		text := func() string {
			var s string
			if err := json.Unmarshal(body, &s); err != nil {
				t.Fatalf("%s: %v", body, err)
			}
			return s
		}
		switch kind {
		case "nil":
			return nil
		case "bool":
			return string(body) == "true"
		case "int":
			n, _ := new(big.Int).SetString(text(), 10)
			if n.IsInt64() {
				return n.Int64()
			}
			return n.Uint64()
		case "float":
			return math.Float64frombits(new(big.Int).SetBytes(unhex(t, text())).Uint64())
		case "str":
			return text()
		case "bytes":
			return unhex(t, text())
		case "list":
			var parts []map[string]json.RawMessage
			mustUnmarshal(t, body, &parts)
			list := []any{}
			for _, part := range parts {
				list = append(list, meaning(t, part, buffers))
			}
			return list
		case "map":
			var parts [][2]map[string]json.RawMessage
			mustUnmarshal(t, body, &parts)
			m := Map{}
			for _, part := range parts {
				m = append(m, Entry{meaning(t, part[0], buffers), meaning(t, part[1], buffers)})
			}
			return m
		case "ref":
			return Ref[any]{h: &handle{slot: &slot{id: ID(unhex(t, text()))}}}
		case "stream":
			return StreamRef{&handle{slot: &slot{id: ID(unhex(t, text()))}}}
		case "actor":
			var actor struct {
				ID, Interface string
				ClassName     string `json:"class_name"`
			}
			mustUnmarshal(t, body, &actor)
			return &Actor{h: &handle{slot: &slot{id: ID(unhex(t, actor.ID))}}, class: actor.ClassName, iface: unhex(t, actor.Interface)}
		case "tensor":
			var tensor struct {
				DType   string
				Shape   []int
				Strides []int
				Buffer  *int
				Data    *string
			}
			mustUnmarshal(t, body, &tensor)
			if tensor.Buffer == nil {
				return &Tensor{DType: tensor.DType, Shape: tensor.Shape, Strides: tensor.Strides, data: unhex(t, *tensor.Data)}
			}
			return &Tensor{DType: tensor.DType, Shape: tensor.Shape, Strides: tensor.Strides, data: unhex(t, buffers[*tensor.Buffer])}
		case "timestamp":
			var parts [2]int64
			mustUnmarshal(t, body, &parts)
			return time.Unix(parts[0], parts[1]).UTC()
		case "uuid":
			return UUID(unhex(t, text()))
		case "bigint":
			n, _ := new(big.Int).SetString(text(), 10)
			return n
		case "ext":
			var parts [2]any
			mustUnmarshal(t, body, &parts)
			return Ext{int8(parts[0].(float64)), unhex(t, parts[1].(string))}
		}
		t.Fatalf("unknown notation %q", kind)
	}
	t.Fatal("no notation")
	return nil
}

func mustUnmarshal(t testing.TB, body []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
}

// alike compares what was read with what was meant. Maps have no order; floats are compared by their bits.
func alike(got, want any) bool {
	switch want := want.(type) {
	case float64:
		got, ok := got.(float64)
		return ok && math.Float64bits(got) == math.Float64bits(want)
	case []byte:
		got, ok := got.([]byte)
		return ok && bytes.Equal(got, want)
	case []any:
		got, ok := got.([]any)
		return ok && slices.EqualFunc(got, want, alike)
	case Map:
		entries := entriesOf(got)
		if len(entries) != len(want) {
			return false
		}
		return !slices.ContainsFunc(want, func(w Entry) bool {
			return !slices.ContainsFunc(entries, func(g Entry) bool { return alike(g.Key, w.Key) && alike(g.Value, w.Value) })
		})
	case *big.Int:
		got, ok := got.(*big.Int)
		return ok && got.Cmp(want) == 0
	case time.Time:
		got, ok := got.(time.Time)
		return ok && got.Equal(want)
	case Ref[any]:
		got, ok := got.(Ref[any])
		return ok && got.ID() == want.ID()
	case StreamRef:
		got, ok := got.(StreamRef)
		return ok && got.ID() == want.ID()
	case *Actor:
		got, ok := got.(*Actor)
		return ok && got.ID() == want.ID() && got.class == want.class && bytes.Equal(got.iface, want.iface)
	case *Tensor:
		got, ok := got.(*Tensor)
		return ok && got.DType == want.DType && slices.Equal(got.Shape, want.Shape) && slices.Equal(got.Strides, want.Strides) && bytes.Equal(got.data, want.data)
	}
	return reflect.DeepEqual(got, want)
}

func entriesOf(v any) Map {
	var entries Map
	switch v := v.(type) {
	case Map:
		return v
	case map[string]any:
		for key, value := range v {
			entries = append(entries, Entry{key, value})
		}
	case map[any]any:
		for key, value := range v {
			entries = append(entries, Entry{key, value})
		}
	}
	return entries
}

func TestValuesAreReadAsTheVectorsSay(t *testing.T) {
	for _, name := range []string{"values", "values_lenient"} {
		for _, c := range vectors[valueCase](t, name) {
			t.Run(c.Name, func(t *testing.T) {
				v := c.wire(t)
				var got any
				err := decode(&v, &got, nil, nil)
				if v.Format == pb.Format_FORMAT_PRIVATE || v.Format == pb.Format_FORMAT_ARROW {
					if !errors.Is(err, CodeUnsupportedFormat) {
						t.Fatalf("a format that Go does not have was answered with %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if want := meaning(t, c.Value, c.Buffers); !alike(got, want) {
					t.Fatalf("read %#v, want %#v", got, want)
				}
			})
		}
	}
}

func TestValuesAreWrittenAsTheVectorsSay(t *testing.T) {
	for _, c := range vectors[valueCase](t, "values") {
		t.Run(c.Name, func(t *testing.T) {
			want := c.wire(t)
			if want.Format == pb.Format_FORMAT_PRIVATE || want.Format == pb.Format_FORMAT_ARROW {
				t.Skip("Go does not write this format")
			}
			v := meaning(t, c.Value, c.Buffers)
			if strings.Contains(string(c.Value["tensor"]), `"data"`) {
				t.Skip("Go puts the elements of a tensor into a buffer")
			}
			var got encoded
			var err error
			if _, ok := v.(*Tensor); ok && want.Format == pb.Format_FORMAT_MSGPACK {
				got, err = encode([]any{v})
				want.Data = append([]byte{0x91}, want.Data...)
			} else {
				got, err = encode(v)
			}
			if err != nil {
				t.Fatal(err)
			}
			if want.Format == pb.Format_FORMAT_RAW {
				// Small bytes travel as MessagePack, which means the same.
				got = encoded{Value: wire.Value{Format: pb.Format_FORMAT_RAW, Data: v.([]byte)}}
			}
			if got.Format != want.Format || !bytes.Equal(got.Data, want.Data) || got.Schema != want.Schema {
				t.Fatalf("wrote %v %x %q, want %v %x %q", got.Format, got.Data, got.Schema, want.Format, want.Data, want.Schema)
			}
			if !slices.Equal(got.Refs, want.Refs) || !slices.EqualFunc(got.Buffers, want.Buffers, bytes.Equal) {
				t.Fatalf("wrote refs %v and buffers %x, want %v and %x", got.Refs, got.Buffers, want.Refs, want.Buffers)
			}
		})
	}
}

func TestInvalidValuesAreRefused(t *testing.T) {
	for _, c := range vectors[valueCase](t, "values_invalid") {
		t.Run(c.Name, func(t *testing.T) {
			v := c.wire(t)
			var got any
			err := decode(&v, &got, nil, nil)
			var e *Error
			if !errors.As(err, &e) || e.Code.String() != c.Code {
				t.Fatalf("got %#v and %v, want %s", got, err, c.Code)
			}
		})
	}
}

func roundTrip[T any](t *testing.T, in any) T {
	t.Helper()
	e, err := encode(in)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := decode(&e.Value, &out, nil, nil); err != nil {
		t.Fatal(err)
	}
	return out
}

type point struct {
	X     int     `thornback:"x"`
	Y     float64 `json:"y"`
	Label *string
	Skip  string `thornback:"-"`
	Empty string `thornback:"empty,omitempty"`
}

func TestStructsTravelAsMapsUnderTheirTags(t *testing.T) {
	label := "here"
	in := point{X: 1, Y: 2.5, Label: &label, Skip: "never"}
	if got := roundTrip[any](t, in); !reflect.DeepEqual(got, map[string]any{"x": int64(1), "y": 2.5, "Label": "here"}) {
		t.Fatalf("%#v", got)
	}
	out := roundTrip[point](t, in)
	if out.X != 1 || out.Y != 2.5 || *out.Label != "here" || out.Skip != "" {
		t.Fatalf("%+v", out)
	}
	if out := roundTrip[point](t, []any{3, 4.5, nil, "e"}); out.X != 3 || out.Empty != "e" {
		t.Fatalf("a tuple is read into the fields in their order: %+v", out)
	}
}

func TestGoTypesKeepWhatTheyAre(t *testing.T) {
	type celsius float32
	if got := roundTrip[map[string][]celsius](t, map[string][]celsius{"a": {1.5, -2}}); got["a"][1] != -2 {
		t.Fatal(got)
	}
	if got := roundTrip[map[int]bool](t, map[int]bool{-7: true}); !got[-7] {
		t.Fatal(got)
	}
	if got := roundTrip[[3]uint16](t, [3]uint16{1, 2, 65535}); got[2] != 65535 {
		t.Fatal(got)
	}
	if got := roundTrip[[]*int](t, []any{1, nil}); *got[0] != 1 || got[1] != nil {
		t.Fatal(got)
	}
	if got := roundTrip[float64](t, 2); got != 2 {
		t.Fatal(got)
	}
	when := time.Date(2026, 2, 3, 4, 5, 6, 7, time.FixedZone("", 3600))
	if got := roundTrip[time.Time](t, when); !got.Equal(when) {
		t.Fatal(got)
	}
	if got := roundTrip[big.Int](t, big.NewInt(5)); got.Int64() != 5 {
		t.Fatal(&got)
	}
	if got := roundTrip[View](t, make([]byte, 4096)); got.Len() != 4096 {
		t.Fatal(got)
	}
}

func TestWhatDoesNotFitIsRefusedWithItsType(t *testing.T) {
	for _, c := range []struct {
		in   any
		into any
	}{
		{300, new(int8)}, {-1, new(uint)}, {uint64(math.MaxUint64), new(int64)}, {1.5, new(int)}, {"a", new(int)}, {1, new(string)},
		{1, new(bool)}, {true, new(int)}, {[]byte("a"), new(string)}, {nil, new(int)}, {[]any{1}, new([2]int)}, {map[string]any{}, new([]int)},
		{int64(1)<<53 + 1, new(float64)}, {"x", new(Ref[int])}, {"x", new(UUID)},
	} {
		e, err := encode(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if err := decode(&e.Value, c.into, nil, nil); !errors.Is(err, CodeInvalidArgument) {
			t.Errorf("%#v into %T: %v", c.in, c.into, err)
		}
	}
}

func TestWhatHasNoPortableFormIsRefusedWithItsPath(t *testing.T) {
	type node struct{ Next *node }
	loop := &node{}
	loop.Next = loop
	for _, c := range []struct {
		in   any
		path string
	}{
		{func() {}, "the value is a func()"},
		{map[string]any{"a": []any{1, make(chan int)}}, `value["a"][1] is a chan int`},
		{struct{ F []any }{[]any{complex(1, 2)}}, "value.F[0] is a complex128"},
		{"\xff", "the value is a string that is not UTF-8"},
		{loop, "nested deeper than 512"},
		{Ref[int]{}, "the zero Ref"},
	} {
		_, err := encode(c.in)
		if !errors.Is(err, CodeUnserializable) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%T: %v; want %q", c.in, err, c.path)
		}
	}
}

func TestTensorsAreReadInPlaceAndInAnyOrder(t *testing.T) {
	numbers := []float64{1, 2, 3, 4, 5, 6}
	tensor, err := NewTensor(numbers, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	got := roundTrip[*Tensor](t, tensor)
	elements, err := Elements[float64](got)
	if err != nil || !slices.Equal(elements, numbers) || &elements[0] != &numbers[0] {
		t.Fatalf("%v %v: the elements were copied or changed", elements, err)
	}
	transposed := &Tensor{DType: tensor.DType, Shape: []int{3, 2}, Strides: []int{8, 24}, data: tensor.data}
	if elements, err = Elements[float64](transposed); err != nil || !slices.Equal(elements, []float64{1, 4, 2, 5, 3, 6}) {
		t.Fatalf("%v %v", elements, err)
	}
	if _, err := Elements[float32](tensor); !errors.Is(err, CodeInvalidArgument) {
		t.Fatal(err)
	}
	nested := roundTrip[map[string]*Tensor](t, map[string]any{"w": tensor})
	if elements, _ = Elements[float64](nested["w"]); !slices.Equal(elements, numbers) {
		t.Fatal(elements)
	}
	repeated := wire.Value{Format: pb.Format_FORMAT_TENSOR, Schema: "<f8;(1000000000000,);(0,)", Buffers: [][]byte{tensor.data}}
	if err := decode(&repeated, &got, nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Elements[float64](got); !errors.Is(err, CodeUnsupportedFormat) {
		t.Fatal("terabytes were made of 48 bytes:", err)
	}
	for _, schema := range []string{"<f8;(2, 4)", "<f8;(2, 3);(24, 16)", "<f8;(2, 3);(-24, 8)", "<f8;(9223372036854775807, 3)", "<f8;(2, 3", "<f8"} {
		v := wire.Value{Format: pb.Format_FORMAT_TENSOR, Schema: schema, Buffers: [][]byte{tensor.data}}
		if err := decode(&v, new(any), nil, nil); !errors.Is(err, CodeUnsupportedFormat) {
			t.Errorf("%s: %v", schema, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"values", "values_lenient", "values_invalid"} {
		for _, c := range vectors[valueCase](f, name) {
			if c.Format == "" || c.Format == "FORMAT_MSGPACK" {
				f.Add(unhex(f, c.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v := wire.Value{Format: pb.Format_FORMAT_MSGPACK, Data: data, Buffers: [][]byte{make([]byte, 64)}}
		var first any
		if decode(&v, &first, nil, nil) != nil {
			return
		}
		// What was read is written and read again as the same.
		e, err := encode(first)
		if err != nil {
			var own *Error
			if errors.As(err, &own) && own.Code == CodeUnserializable {
				return // Streams of others, and handles in keys.
			}
			t.Fatal(err)
		}
		var second any
		if err := decode(&e.Value, &second, nil, nil); err != nil {
			t.Fatalf("%x was read, written as %x, and then not read: %v", data, e.Data, err)
		}
		for _, into := range []any{new(map[string]any), new([]int), new(point), new(*Tensor), new([]Ref[int]), new(View)} {
			_ = decode(&v, into, nil, nil)
		}
	})
}

func FuzzTensorSchema(f *testing.F) {
	f.Add("<f8;(2, 3);(24, 8)")
	f.Add("|b1;()")
	f.Fuzz(func(t *testing.T, schema string) {
		v := wire.Value{Format: pb.Format_FORMAT_TENSOR, Schema: schema, Buffers: [][]byte{make([]byte, 256)}}
		var tensor *Tensor
		if decode(&v, &tensor, nil, nil) != nil {
			return
		}
		_, _ = Elements[float64](tensor)
		_, _ = Elements[uint8](tensor)
		_, _ = Elements[bool](tensor)
	})
}
