package thornback

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
)

// UUID is a universally unique identifier, which has a type of its own on the wire. Its bytes are in the order in which they are printed. Types of other
// packages that are [16]byte convert to it.
type UUID [16]byte

// ParseUUID reads "12345678-1234-1234-1234-123456789abc".
func ParseUUID(text string) (UUID, error) {
	var id UUID
	bare := strings.ReplaceAll(text, "-", "")
	if len(text) != 36 || len(bare) != 32 {
		return id, invalid("%q is no UUID", text)
	}
	if _, err := hex.Decode(id[:], []byte(bare)); err != nil {
		return id, invalid("%q is no UUID", text)
	}
	return id, nil
}

func (u UUID) String() string {
	text := hex.EncodeToString(u[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// Ext is a MessagePack extension of the user's own, of type 64 to 127. It means something only between programs that agree.
type Ext struct {
	Type int8
	Data []byte
}

// Map is a map with its entries in the order in which they were written, and with keys of any kind. Decoding into any gives one only where a Go map
// cannot hold the keys.
type Map []Entry

// Entry is one key and its value.
type Entry struct{ Key, Value any }

// View is bytes that are read where they lie, perhaps in memory shared with the node. Decode a value into a View to avoid a copy of it.
//
// The bytes must not be written to: in shared memory that ends the process. They stay as long as the View, or a value that was decoded from the same object,
// is reachable: keep the View, and use runtime.KeepAlive where only the bytes are used further on.
type View struct {
	data []byte
	pin  *pin
}

// Bytes is the bytes, in place and read-only.
func (v View) Bytes() []byte { return v.data }

// Len is how many there are.
func (v View) Len() int { return len(v.data) }

// Clone is a copy that lives on its own.
func (v View) Clone() []byte {
	defer runtime.KeepAlive(v.pin)
	return append([]byte(nil), v.data...)
}

// ReadAt copies from a place in the bytes, as an io.ReaderAt.
func (v View) ReadAt(p []byte, offset int64) (int, error) {
	defer runtime.KeepAlive(v.pin)
	if offset < 0 {
		return 0, errors.New("thornback: a view has no bytes before its first")
	}
	if offset >= int64(len(v.data)) {
		return 0, io.EOF
	}
	n := copy(p, v.data[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (v View) String() string { return fmt.Sprintf("View(%d bytes)", len(v.data)) }

// pin keeps a stored object where it is. When it is unreachable the node is told.
type pin struct{ _ *byte }

// NamedArg is an argument given by its name, for functions of languages that have such.
type NamedArg struct {
	Name  string
	Value any
}

// Named gives an argument by its name.
func Named(name string, value any) NamedArg { return NamedArg{name, value} }

// Keywords takes, as the last parameter of a registered function, the arguments that were given by name. A function without it takes none.
type Keywords map[string]any
