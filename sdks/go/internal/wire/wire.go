// Package wire turns bytes into the messages of the hot path and back: frames, values, submissions, runs and completions.
//
// Everything else goes through the generated code of package pb, with which the tests compare this one. It opens no
// socket, keeps no state and decides nothing.
package wire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/pb"
)

// IDBytes is the length of every id.
const IDBytes = 16

// ID names a task, actor, object or placement group. Index 0 (the last four bytes) is the thing itself.
type ID [IDBytes]byte

// Index is the number behind the prefix.
func (id ID) Index() uint32 {
	return uint32(id[12])<<24 | uint32(id[13])<<16 | uint32(id[14])<<8 | uint32(id[15])
}

// WithIndex is the id with the same prefix and another index.
func (id ID) WithIndex(index uint32) ID {
	id[12], id[13], id[14], id[15] = byte(index>>24), byte(index>>16), byte(index>>8), byte(index)
	return id
}

// IsZero reports whether there is no id.
func (id ID) IsZero() bool { return id == ID{} }

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads an id; false unless it has exactly 16 bytes.
func ParseID(b []byte) (ID, bool) {
	if len(b) != IDBytes {
		return ID{}, false
	}
	return ID(b), true
}

// OpsField is the tag of `ops` in both kinds of frame, in front of the operation's length.
const OpsField = 3<<3 | 2

// MaxOps is how many operations a frame may hold (SESSION-022).
const MaxOps = 65_536

// FrameTail is the most that `seq` and `ack` take behind the operations.
const FrameTail = 2 * (1 + 10)

// ErrMalformed is wrapped by every error about bytes that cannot be decoded.
var ErrMalformed = errors.New("malformed")

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// Frame is a ServerFrame taken apart. Its slices point into the bytes that it was parsed from.
type Frame struct {
	Seq, Ack uint64
	// Each is the body of one ServerOp.
	Ops [][]byte
}

// Parse takes a frame apart, reusing the room of f.
func (f *Frame) Parse(body []byte) error {
	f.Seq, f.Ack, f.Ops = 0, 0, f.Ops[:0]
	for len(body) > 0 {
		num, typ, n := protowire.ConsumeTag(body)
		if n < 0 {
			return malformed("a field of a frame")
		}
		body = body[n:]
		switch {
		case num == 3 && typ == protowire.BytesType:
			op, n := protowire.ConsumeBytes(body)
			if n < 0 {
				return malformed("an operation is cut short")
			}
			if len(f.Ops) == MaxOps {
				return malformed("a frame has too many operations")
			}
			f.Ops, body = append(f.Ops, op), body[n:]
		case (num == 1 || num == 2) && typ == protowire.VarintType:
			v, n := protowire.ConsumeVarint(body)
			if n < 0 {
				return malformed("a number of a frame")
			}
			if num == 1 {
				f.Seq = v
			} else {
				f.Ack = v
			}
			body = body[n:]
		case num <= 3:
			return malformed("a field of a frame has another type")
		default:
			n := protowire.ConsumeFieldValue(num, typ, body)
			if n < 0 {
				return malformed("an unknown field of a frame")
			}
			body = body[n:]
		}
	}
	return nil
}

// SplitOp says which operation the body of a ServerOp is, by its field number, and gives the message. 0 is one that
// this version does not know.
func SplitOp(op []byte) (protowire.Number, []byte, error) {
	num, typ, n := protowire.ConsumeTag(op)
	if n > 0 && typ == protowire.BytesType && known(num) {
		msg, m := protowire.ConsumeBytes(op[n:])
		if m >= 0 && n+m == len(op) {
			return num, msg, nil
		}
	}
	// Anything but one known field: fields that we do not know, or several, of which protobuf takes the last.
	var full pb.ServerOp
	if err := proto.Unmarshal(op, &full); err != nil {
		return 0, nil, malformed(err.Error())
	}
	full.ProtoReflect().SetUnknown(nil)
	plain, err := proto.Marshal(&full)
	if err != nil {
		return 0, nil, malformed(err.Error())
	}
	if len(plain) == 0 {
		return 0, nil, nil
	}
	num, _, n = protowire.ConsumeTag(plain)
	msg, _ := protowire.ConsumeBytes(plain[n:])
	return num, msg, nil
}

var serverOps = (&pb.ServerOp{}).ProtoReflect().Descriptor().Fields()

func known(num protowire.Number) bool { return serverOps.ByNumber(num) != nil }

// AppendOp appends a ClientOp: its field number and the message.
func AppendOp(b []byte, field protowire.Number, msg []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendBytes(b, msg)
}

// AppendID appends an id as field `num`.
func AppendID(b []byte, num protowire.Number, id ID) []byte {
	b = append(b, byte(num)<<3|2, IDBytes)
	return append(b, id[:]...)
}

// Value is user data as it travels: how to read the bytes, the bytes, and the ids that they refer to.
type Value struct {
	Format  pb.Format
	Data    []byte
	Refs    []ID
	Buffers [][]byte
	Schema  string
}

// Bytes counts what the limit on inline values counts: data and buffers.
func (v *Value) Bytes() int {
	n := len(v.Data)
	for _, b := range v.Buffers {
		n += len(b)
	}
	return n
}

// Size is the length of the message.
func (v *Value) Size() int {
	n := 2
	if v.Format == 0 {
		n = 0
	}
	if len(v.Data) > 0 {
		n += 1 + protowire.SizeBytes(len(v.Data))
	}
	n += len(v.Refs) * (2 + IDBytes)
	for _, b := range v.Buffers {
		n += 1 + protowire.SizeBytes(len(b))
	}
	if v.Schema != "" {
		n += 1 + protowire.SizeBytes(len(v.Schema))
	}
	return n
}

// Append appends the message.
func (v *Value) Append(b []byte) []byte {
	if v.Format != 0 {
		b = append(b, 1<<3, byte(v.Format))
	}
	if len(v.Data) > 0 {
		b = append(b, 2<<3|2)
		b = protowire.AppendBytes(b, v.Data)
	}
	for _, id := range v.Refs {
		b = AppendID(b, 3, id)
	}
	for _, buffer := range v.Buffers {
		b = append(b, 4<<3|2)
		b = protowire.AppendBytes(b, buffer)
	}
	if v.Schema != "" {
		b = append(b, 5<<3|2)
		b = protowire.AppendString(b, v.Schema)
	}
	return b
}

// AppendField appends the value as field `num` of an enclosing message.
func (v *Value) AppendField(b []byte, num protowire.Number) []byte {
	b = append(b, byte(num)<<3|2)
	b = protowire.AppendVarint(b, uint64(v.Size()))
	return v.Append(b)
}

// fields walks the fields of a message. `take` gets varints as number and everything with a length as bytes.
func fields(msg []byte, take func(num protowire.Number, typ protowire.Type, number uint64, bytes []byte) error) error {
	for len(msg) > 0 {
		num, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return malformed("a tag")
		}
		msg = msg[n:]
		var number uint64
		var bytes []byte
		switch typ {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(msg)
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(msg)
		default:
			n = protowire.ConsumeFieldValue(num, typ, msg)
		}
		if n < 0 {
			return malformed("a field")
		}
		msg = msg[n:]
		if err := take(num, typ, number, bytes); err != nil {
			return err
		}
	}
	return nil
}

// ParseValue reads a Value. Its slices point into msg.
func ParseValue(msg []byte) (Value, error) {
	var v Value
	err := fields(msg, func(num protowire.Number, typ protowire.Type, number uint64, bytes []byte) error {
		switch {
		case num == 1 && typ == protowire.VarintType:
			v.Format = pb.Format(int32(number))
		case num == 2 && typ == protowire.BytesType:
			v.Data = bytes
		case num == 3 && typ == protowire.BytesType:
			id, ok := ParseID(bytes)
			if !ok {
				return malformed("a ref of a value has not 16 bytes")
			}
			v.Refs = append(v.Refs, id)
		case num == 4 && typ == protowire.BytesType:
			v.Buffers = append(v.Buffers, bytes)
		case num == 5 && typ == protowire.BytesType:
			if !utf8.Valid(bytes) {
				return malformed("a schema is not UTF-8")
			}
			v.Schema = string(bytes)
		}
		return nil
	})
	return v, err
}

// FromPB is the same value, from the generated message.
func FromPB(m *pb.Value) Value {
	v := Value{Format: m.GetFormat(), Data: m.GetData(), Buffers: m.GetBuffers(), Schema: m.GetSchema()}
	for _, ref := range m.GetRefs() {
		if id, ok := ParseID(ref); ok {
			v.Refs = append(v.Refs, id)
		}
	}
	return v
}

// Location is where a stored object lies. Arena 0 is none: the bytes come as chunks.
type Location struct {
	Arena        uint32
	Offset, Size uint64
}

func parseLocation(msg []byte) (Location, error) {
	var l Location
	err := fields(msg, func(num protowire.Number, typ protowire.Type, number uint64, _ []byte) error {
		if typ != protowire.VarintType {
			return nil
		}
		switch num {
		case 1:
			l.Arena = uint32(number)
		case 2:
			l.Offset = number
		case 3:
			l.Size = number
		}
		return nil
	})
	return l, err
}

// ArgKind says which of its alternatives an argument is.
type ArgKind uint8

// The alternatives of Arg.
const (
	ArgNone ArgKind = iota
	ArgValue
	ArgRef
	ArgStored
)

// Arg is one argument of a call.
type Arg struct {
	Kind     ArgKind
	Value    Value
	Ref      ID
	Stored   Location
	Object   ID
	Keyword  string
	HasPlace bool
}

func parseArg(msg []byte) (Arg, error) {
	var a Arg
	err := fields(msg, func(num protowire.Number, typ protowire.Type, _ uint64, bytes []byte) (err error) {
		if typ != protowire.BytesType {
			return nil
		}
		switch num {
		case 1:
			a.Kind = ArgValue
			a.Value, err = ParseValue(bytes)
		case 2:
			a.Kind = ArgRef
			var ok bool
			if a.Ref, ok = ParseID(bytes); !ok {
				err = malformed("a ref has not 16 bytes")
			}
		case 3:
			if !utf8.Valid(bytes) {
				return malformed("a keyword is not UTF-8")
			}
			a.Keyword = string(bytes)
		case 4:
			a.Kind = ArgStored
			err = a.parseStored(bytes)
		}
		return err
	})
	return a, err
}

func (a *Arg) parseStored(msg []byte) error {
	return fields(msg, func(num protowire.Number, typ protowire.Type, _ uint64, bytes []byte) (err error) {
		if typ != protowire.BytesType {
			return nil
		}
		switch num {
		case 1:
			var ok bool
			if a.Object, ok = ParseID(bytes); !ok {
				err = malformed("a stored argument has no id")
			}
		case 2:
			a.HasPlace = true
			a.Stored, err = parseLocation(bytes)
		}
		return err
	})
}

// Run is an order to a worker. Its slices point into the bytes that it was parsed from.
type Run struct {
	Task        ID
	Attempt     uint32
	Declaration uint32
	Args        []Arg
	Actor       ID
	Setup       *pb.ActorSetup
}

// ParseRun reads a Run.
func ParseRun(msg []byte) (Run, error) {
	var r Run
	err := fields(msg, func(num protowire.Number, typ protowire.Type, number uint64, bytes []byte) error {
		ok := true
		switch {
		case num == 1 && typ == protowire.BytesType:
			r.Task, ok = ParseID(bytes)
		case num == 2 && typ == protowire.VarintType:
			r.Attempt = uint32(number)
		case num == 3 && typ == protowire.VarintType:
			r.Declaration = uint32(number)
		case num == 4 && typ == protowire.BytesType:
			arg, err := parseArg(bytes)
			if err != nil {
				return err
			}
			r.Args = append(r.Args, arg)
		case num == 5 && typ == protowire.BytesType:
			if len(bytes) > 0 {
				r.Actor, ok = ParseID(bytes)
			}
		case num == 6 && typ == protowire.BytesType:
			r.Setup = &pb.ActorSetup{}
			if err := proto.Unmarshal(bytes, r.Setup); err != nil {
				return malformed(err.Error())
			}
		}
		if !ok {
			return malformed("an id of a run has not 16 bytes")
		}
		return nil
	})
	return r, err
}

// Completion is what became of an object: exactly one of its three outcomes.
type Completion struct {
	Object ID
	// The message of the value, still to be parsed; nil if it is another outcome.
	Value []byte
	// The message of the failure; nil if it is another outcome.
	Failure []byte
	Stored  bool
	// Bytes of a stored object.
	Size uint64
}

// ParseCompletion reads a Completion.
func ParseCompletion(msg []byte) (Completion, error) {
	var c Completion
	err := fields(msg, func(num protowire.Number, typ protowire.Type, number uint64, bytes []byte) error {
		switch {
		case num == 1 && typ == protowire.BytesType:
			var ok bool
			if c.Object, ok = ParseID(bytes); !ok {
				return malformed("a completion names no object")
			}
		case num == 2 && typ == protowire.BytesType:
			c.Value, c.Failure, c.Stored = nonNil(bytes), nil, false
		case num == 3 && typ == protowire.BytesType:
			c.Value, c.Failure, c.Stored = nil, nonNil(bytes), false
		case num == 4 && typ == protowire.VarintType:
			c.Value, c.Failure, c.Stored, c.Size = nil, nil, true, number
		}
		return nil
	})
	return c, err
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
