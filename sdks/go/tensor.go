package thornback

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"unsafe"
)

// copyElementsMax is how many bytes a copy of elements may have if they lie on top of each other (strides of 0): whoever sent them may claim any number.
const copyElementsMax = 64 << 20

// Element is what a tensor may hold of Go's own types.
type Element interface {
	~bool | ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// Tensor is an array of numbers of any number of dimensions, as NumPy's. Its elements lie outside the value, aligned, and are read in place.
type Tensor struct {
	// DType is NumPy's text for the type of the elements: "<f8", "<i4", "|u1", "|b1"; or "bf16" and other names of DLPack's.
	DType string
	// Shape is the length of each dimension.
	Shape []int
	// Strides is the distance between neighbours in each dimension, in bytes; nil where the elements lie in C order without gaps.
	Strides []int

	data []byte
	pin  *pin
}

// NewTensor makes a tensor of elements in C order; without a shape it has one dimension. The elements are not copied: do not change them before the tensor
// was sent.
func NewTensor[E Element](elements []E, shape ...int) (*Tensor, error) {
	if len(shape) == 0 {
		shape = []int{len(elements)}
	}
	count, ok := elementCount(shape)
	if !ok || count != len(elements) {
		return nil, invalid("%d elements do not make a tensor of shape %v", len(elements), shape)
	}
	var zero E
	t := &Tensor{DType: dtypeOf[E](), Shape: shape}
	if len(elements) > 0 {
		t.data = unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(elements))), len(elements)*int(unsafe.Sizeof(zero)))
	}
	return t, nil
}

// Bytes is the elements as they lie, read-only; see View.
func (t *Tensor) Bytes() []byte { return t.data }

// Elements is the elements of a tensor in C order: in place where they lie so, else copied. They must not be written to, and stay as long as the tensor is
// reachable; see View. It fails if they are of another type.
func Elements[E Element](t *Tensor) ([]E, error) {
	want := dtypeOf[E]()
	// One byte has no order.
	sameByte := unsafe.Sizeof(*new(E)) == 1 && strings.TrimLeft(t.DType, "<>=|") == want[1:]
	if t.DType != want && !sameByte {
		return nil, invalid("the tensor's elements are %q, not %q", t.DType, want)
	}
	count, ok := elementCount(t.Shape)
	if !ok {
		return nil, invalid("a tensor of shape %v is larger than memory", t.Shape)
	}
	if count == 0 {
		return nil, nil
	}
	size := int(unsafe.Sizeof(*new(E)))
	start := unsafe.Pointer(unsafe.SliceData(t.data))
	if t.contiguous(size) && uintptr(start)%uintptr(size) == 0 {
		if dtypeOf[E]() == "|b1" && !onlyBools(t.data[:count]) {
			return nil, invalid("the tensor holds bytes that are no bools")
		}
		return unsafe.Slice((*E)(start), count), nil
	}
	defer runtime.KeepAlive(t.pin)
	if count > copyElementsMax/size && count > len(t.data)/size {
		return nil, failed(CodeUnsupportedFormat, "a tensor of shape %v and strides %v repeats its %d bytes too often to be copied", t.Shape, t.Strides, len(t.data))
	}
	out := make([]E, count)
	raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(out))), count*size)
	index := make([]int, len(t.Shape))
	strides := t.Strides
	if strides == nil {
		strides = cStrides(t.Shape, size)
	}
	for at := 0; at < len(raw); at += size {
		from := 0
		for d, i := range index {
			from += i * strides[d]
		}
		copy(raw[at:at+size], t.data[from:from+size])
		for d := len(index) - 1; d >= 0; d-- {
			if index[d]++; index[d] < t.Shape[d] {
				break
			}
			index[d] = 0
		}
	}
	if dtypeOf[E]() == "|b1" && !onlyBools(raw) {
		return nil, invalid("the tensor holds bytes that are no bools")
	}
	return out, nil
}

func onlyBools(b []byte) bool {
	for _, v := range b {
		if v > 1 {
			return false
		}
	}
	return true
}

func dtypeOf[E Element]() string {
	order := "<"
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		order = ">"
	}
	var zero E
	size := strconv.Itoa(int(unsafe.Sizeof(zero)))
	if size == "1" {
		order = "|"
	}
	switch kind := reflect.TypeFor[E]().Kind(); kind {
	case reflect.Bool:
		return "|b1"
	case reflect.Float32, reflect.Float64:
		return order + "f" + size
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return order + "i" + size
	default:
		return order + "u" + size
	}
}

func (t *Tensor) contiguous(size int) bool {
	if t.Strides == nil {
		return true
	}
	want := cStrides(t.Shape, size)
	for d := range want {
		if t.Shape[d] > 1 && t.Strides[d] != want[d] {
			return false
		}
	}
	return true
}

func cStrides(shape []int, size int) []int {
	strides := make([]int, len(shape))
	for d := len(shape) - 1; d >= 0; d-- {
		strides[d] = size
		size *= max(shape[d], 1)
	}
	return strides
}

// elementCount multiplies a shape; false if it is none or too large.
func elementCount(shape []int) (int, bool) {
	count := 1
	empty := false
	for _, n := range shape {
		if n < 0 {
			return 0, false
		}
		if n == 0 {
			empty = true
			continue
		}
		if count > math.MaxInt/n {
			return 0, false
		}
		count *= n
	}
	if empty {
		return 0, true
	}
	return count, true
}

// itemSize is the bytes of one element; 0 if the dtype does not say.
func itemSize(dtype string) int {
	switch dtype {
	case "bf16":
		return 2
	case "":
		return 0
	}
	if strings.ContainsRune("<>|=", rune(dtype[0])) && len(dtype) > 2 {
		n, err := strconv.Atoi(dtype[2:])
		if err != nil || n < 0 || n > 1<<20 {
			return 0
		}
		if dtype[1] == 'U' {
			n *= 4
		}
		return n
	}
	// DLPack's names end in their bits: "float8_e4m3fn" does not, and is of 8.
	if strings.HasPrefix(dtype, "float8") {
		return 1
	}
	return 0
}

// check refuses a tensor whose elements do not all lie in its bytes (VALUE-031).
func (t *Tensor) check() error {
	count, ok := elementCount(t.Shape)
	if !ok || (t.Strides != nil && len(t.Strides) != len(t.Shape)) {
		return failed(CodeUnsupportedFormat, "a tensor of shape %v and strides %v is none", t.Shape, t.Strides)
	}
	size := itemSize(t.DType)
	if size == 0 {
		size = 1 // At least; what reads elements of such a type looks for itself.
	}
	need := count
	if t.Strides == nil {
		if count > math.MaxInt/size {
			return failed(CodeUnsupportedFormat, "a tensor of shape %v is larger than memory", t.Shape)
		}
		need = count * size
	} else if count > 0 {
		need = size
		for d, stride := range t.Strides {
			if stride < 0 {
				return failed(CodeUnsupportedFormat, "a tensor has the negative stride %d", stride)
			}
			if steps := t.Shape[d] - 1; stride > 0 && steps > (math.MaxInt-need)/stride {
				return failed(CodeUnsupportedFormat, "a tensor of shape %v and strides %v is larger than memory", t.Shape, t.Strides)
			} else {
				need += steps * stride
			}
		}
	}
	if need > len(t.data) {
		return failed(CodeUnsupportedFormat, "a tensor of %q, shape %v and strides %v needs %d bytes and has %d", t.DType, t.Shape, t.Strides, need, len(t.data))
	}
	return nil
}

// schema is the text that describes it in FORMAT_TENSOR (VALUE-030).
func (t *Tensor) schema() string {
	text := t.DType + ";" + tuple(t.Shape)
	if t.Strides != nil {
		text += ";" + tuple(t.Strides)
	}
	return text
}

func tuple(numbers []int) string {
	parts := make([]string, len(numbers))
	for i, n := range numbers {
		parts[i] = strconv.Itoa(n)
	}
	if len(parts) == 1 {
		return "(" + parts[0] + ",)"
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// parseSchema reads what schema writes.
func parseSchema(text string) (*Tensor, error) {
	parts := strings.Split(text, ";")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" {
		return nil, failed(CodeUnsupportedFormat, "a tensor is described by %q, which is no dtype and shape", text)
	}
	t := &Tensor{DType: parts[0]}
	var ok bool
	if t.Shape, ok = parseTuple(parts[1]); !ok {
		return nil, failed(CodeUnsupportedFormat, "a tensor is described by %q, whose shape cannot be read", text)
	}
	if len(parts) == 3 {
		if t.Strides, ok = parseTuple(parts[2]); !ok {
			return nil, failed(CodeUnsupportedFormat, "a tensor is described by %q, whose strides cannot be read", text)
		}
	}
	return t, nil
}

func parseTuple(text string) ([]int, bool) {
	inside, ok := strings.CutPrefix(text, "(")
	if !ok {
		return nil, false
	}
	if inside, ok = strings.CutSuffix(inside, ")"); !ok {
		return nil, false
	}
	numbers := []int{}
	inside = strings.TrimSuffix(strings.TrimSpace(inside), ",")
	if inside == "" {
		return numbers, true
	}
	for part := range strings.SplitSeq(inside, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil {
			return nil, false
		}
		numbers = append(numbers, n)
	}
	return numbers, true
}

func (t *Tensor) String() string { return fmt.Sprintf("Tensor(%s, %v)", t.DType, t.Shape) }
