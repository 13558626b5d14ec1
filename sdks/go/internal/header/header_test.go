package header

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"thornback.dev/go/internal/pb"
)

type headerCase struct {
	Name    string
	Header  string
	Size    uint64
	Invalid bool
	Layout  struct {
		Data    [2]uint64
		Buffers [][2]uint64
		Device  [2]int32
		Format  string
		Schema  string
	}
}

func cases(t testing.TB) []headerCase {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "protocol", "vectors", "object_headers.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []headerCase }
	if err := json.Unmarshal(text, &file); err != nil || len(file.Cases) == 0 {
		t.Fatal("no cases", err)
	}
	return file.Cases
}

func (c *headerCase) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(c.Header)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (c *headerCase) layout() Layout {
	l := Layout{
		Format: pb.Format(pb.Format_value[c.Layout.Format]), Schema: c.Layout.Schema, Data: Span{c.Layout.Data[0], c.Layout.Data[1]},
		DeviceType: c.Layout.Device[0], DeviceID: c.Layout.Device[1], Size: c.Size,
	}
	for _, b := range c.Layout.Buffers {
		l.Buffers = append(l.Buffers, Span{b[0], b[1]})
	}
	return l
}

func same(a, b Layout) bool {
	if len(a.Buffers) == 0 && len(b.Buffers) == 0 {
		a.Buffers, b.Buffers = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

func TestHeadersAreReadAsTheVectorsSay(t *testing.T) {
	for _, c := range cases(t) {
		got, err := Read(c.bytes(t), c.Size)
		switch {
		case c.Invalid && err == nil:
			t.Errorf("%s: was read as %+v", c.Name, got)
		case !c.Invalid && err != nil:
			t.Errorf("%s: %v", c.Name, err)
		case !c.Invalid && !same(got, c.layout()):
			t.Errorf("%s: read %+v, want %+v", c.Name, got, c.layout())
		}
	}
}

func TestPlansAreReadBack(t *testing.T) {
	for _, c := range cases(t) {
		if c.Invalid || c.Layout.Device[0] != CPU {
			continue // This SDK writes objects of the CPU's memory only.
		}
		want := c.layout()
		lengths := []uint64{}
		for _, span := range want.Buffers {
			lengths = append(lengths, span.Length)
		}
		head, plan, err := Plan(want.Format, want.Schema, want.Data.Length, lengths)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(head, plan.Size)
		if err != nil || !same(got, plan) {
			t.Errorf("%s: wrote %+v, read %+v, %v", c.Name, plan, got, err)
		}
		if len(head)%Align != 0 || plan.Format != want.Format || plan.Schema != want.Schema || plan.Data.Length != want.Data.Length {
			t.Errorf("%s: planned %+v in a region of %d", c.Name, plan, len(head))
		}
	}
}

// The Python SDK counts alignment from behind the length.
func TestAHeaderThatIsAlignedFromBehindItsLengthIsRead(t *testing.T) {
	head, err := hex.DecodeString("38000000100000000c0020001c000000080004000c0000002000000000000000000000008813000000000000000000000100000000000000000000000000000000")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Read(head[:64], 5064)
	if err != nil || l.Format != pb.Format_FORMAT_RAW || l.Data != (Span{64, 5000}) {
		t.Fatalf("%+v, %v", l, err)
	}
}

func TestOverlappingBuffersAreRefused(t *testing.T) {
	head := write(&Layout{Format: pb.Format_FORMAT_PRIVATE, Schema: "x", Data: Span{0, 65}, Buffers: []Span{{64, 8}}})
	if l, err := Read(head, 4096); err == nil {
		t.Fatalf("read %+v", l)
	}
}

func TestNoByteOfAHeaderCanBeFlippedToReadOutside(t *testing.T) {
	head, plan, err := Plan(pb.Format_FORMAT_PRIVATE, "python/pickle5", 100, []uint64{8, 4000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range head {
		for bit := range 8 {
			broken := append([]byte(nil), head...)
			broken[i] ^= 1 << bit
			inside(t, broken, plan.Size)
		}
	}
}

func inside(t *testing.T, head []byte, size uint64) {
	l, err := Read(head, size)
	if err != nil {
		return
	}
	for _, span := range append(l.Buffers, l.Data) {
		if span.Offset > size || span.Length > size-span.Offset {
			t.Fatalf("%x: %+v lies outside of %d bytes", head, span, size)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, c := range cases(f) {
		f.Add(c.bytes(f), c.Size)
	}
	f.Fuzz(inside)
}
