package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"thornback.dev/go/internal/pb"
)

type messageCase struct {
	Name, Message, Hex string
	JSON               json.RawMessage
}

func messages(t testing.TB) []messageCase {
	t.Helper()
	var all []messageCase
	for _, name := range []string{"actor", "control", "failure", "object", "session", "task", "value", "worker"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "protocol", "vectors", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Cases []messageCase }
		if err := json.Unmarshal(text, &file); err != nil || len(file.Cases) == 0 {
			t.Fatal(name, "has no cases", err)
		}
		all = append(all, file.Cases...)
	}
	return all
}

func (c *messageCase) decode(t testing.TB) (proto.Message, []byte) {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(c.Message))
	if err != nil {
		t.Fatal(err)
	}
	data, err := hex.DecodeString(c.Hex)
	if err != nil {
		t.Fatal(err)
	}
	m := kind.New().Interface()
	if err := proto.Unmarshal(data, m); err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	return m, data
}

func TestMessagesMeanWhatTheVectorsSay(t *testing.T) {
	for _, c := range messages(t) {
		m, data := c.decode(t)
		want := m.ProtoReflect().New().Interface()
		if err := protojson.Unmarshal(c.JSON, want); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if !proto.Equal(m, want) {
			t.Errorf("%s: read %v, want %v", c.Name, m, want)
		}
		again, err := proto.Marshal(m)
		if err != nil || len(again) != len(data) {
			t.Errorf("%s: written in %d bytes, want %d (%v)", c.Name, len(again), len(data), err)
		}
	}
}

// TestHandWrittenReadersAgreeWithGeneratedOnes holds every reader of this package to what protobuf's own makes of the same bytes.
func TestHandWrittenReadersAgreeWithGeneratedOnes(t *testing.T) {
	seen := map[string]int{}
	for _, c := range messages(t) {
		m, data := c.decode(t)
		switch m := m.(type) {
		case *pb.Value:
			seen["value"]++
			checkValue(t, data, m)
		case *pb.Run:
			seen["run"]++
			checkRun(t, data, m)
		case *pb.Completion:
			seen["completion"]++
			checkCompletion(t, data, m)
		case *pb.ServerFrame:
			seen["frame"]++
			checkFrame(t, data, m)
		}
	}
	for _, kind := range []string{"value", "run", "completion", "frame"} {
		if seen[kind] < 2 {
			t.Errorf("only %d vectors of a %s", seen[kind], kind)
		}
	}
}

func checkValue(t *testing.T, data []byte, m *pb.Value) {
	t.Helper()
	v, err := ParseValue(data)
	if err != nil {
		for _, ref := range m.GetRefs() {
			if len(ref) != IDBytes {
				return // protobuf does not know how long an id is.
			}
		}
		t.Fatalf("%x: %v", data, err)
	}
	back := v.Append(nil)
	if len(back) != v.Size() {
		t.Fatalf("%d bytes were announced and %d written", v.Size(), len(back))
	}
	var again pb.Value
	if err := proto.Unmarshal(back, &again); err != nil {
		t.Fatal(err)
	}
	m.ProtoReflect().SetUnknown(nil)
	if m.GetFormat() >= 0 && m.GetFormat() < 128 && !proto.Equal(&again, m) {
		t.Fatalf("%x: read %v, want %v", data, &again, m)
	}
}

func checkRun(t *testing.T, data []byte, m *pb.Run) {
	t.Helper()
	r, err := ParseRun(data)
	if err != nil {
		if len(m.GetTask()) == IDBytes && !strings.Contains(err.Error(), "16 bytes") && !strings.Contains(err.Error(), "no id") {
			t.Fatalf("%x: %v", data, err)
		}
		return
	}
	if r.Attempt != m.GetAttempt() || r.Declaration != m.GetDeclaration() || len(r.Args) != len(m.GetArgs()) || (r.Setup == nil) != (m.GetSetup() == nil) {
		t.Fatalf("%x: read %+v, want %v", data, r, m)
	}
	if !r.Actor.IsZero() && !bytes.Equal(r.Actor[:], m.GetActor()) || len(m.GetTask()) > 0 && !bytes.Equal(r.Task[:], m.GetTask()) {
		t.Fatalf("%x: read %+v, want %v", data, r, m)
	}
	for i, arg := range m.GetArgs() {
		if r.Args[i].Keyword != arg.GetKeyword() {
			t.Fatalf("argument %d: %+v, want %v", i, r.Args[i], arg)
		}
		kind := ArgNone
		switch outcome := arg.GetArg().(type) {
		case *pb.Arg_Value:
			kind = ArgValue
		case *pb.Arg_Ref:
			kind = ArgRef
		case *pb.Arg_Stored:
			kind = ArgStored
			at := outcome.Stored.GetLocation()
			if r.Args[i].Stored != (Location{at.GetArena(), at.GetOffset(), at.GetSize()}) {
				t.Fatalf("argument %d: %+v, want %v", i, r.Args[i], arg)
			}
		}
		if r.Args[i].Kind != kind {
			t.Fatalf("argument %d: %+v, want %v", i, r.Args[i], arg)
		}
	}
}

func checkCompletion(t *testing.T, data []byte, m *pb.Completion) {
	t.Helper()
	c, err := ParseCompletion(data)
	if err != nil {
		if len(m.GetObject()) == IDBytes {
			t.Fatalf("%x: %v", data, err)
		}
		return
	}
	switch outcome := m.GetOutcome().(type) {
	case nil:
		if c.Value != nil || c.Failure != nil || c.Stored {
			t.Fatalf("%x: read %+v, want none", data, c)
		}
	case *pb.Completion_Value:
		if c.Value == nil {
			t.Fatalf("%x: read %+v, want a value", data, c)
		}
	case *pb.Completion_Failure:
		if c.Failure == nil {
			t.Fatalf("%x: read %+v, want a failure", data, c)
		}
	case *pb.Completion_Stored:
		if !c.Stored || c.Size != outcome.Stored {
			t.Fatalf("%x: read %+v, want %v", data, c, m)
		}
	}
}

func checkFrame(t *testing.T, data []byte, m *pb.ServerFrame) {
	t.Helper()
	var f Frame
	if err := f.Parse(data); err != nil {
		t.Fatalf("%x: %v", data, err)
	}
	if f.Seq != m.GetSeq() || f.Ack != m.GetAck() || len(f.Ops) != len(m.GetOps()) {
		t.Fatalf("%x: read %+v, want %v", data, f, m)
	}
	for i, op := range m.GetOps() {
		num, msg, err := SplitOp(f.Ops[i])
		if err != nil {
			t.Fatalf("%x: %v", f.Ops[i], err)
		}
		field := op.ProtoReflect().WhichOneof(op.ProtoReflect().Descriptor().Oneofs().Get(0))
		if field == nil {
			if num != 0 {
				t.Fatalf("operation %d is %d, want an unknown one", i, num)
			}
			continue
		}
		if field.Number() != num {
			t.Fatalf("operation %d is %d, want %d", i, num, field.Number())
		}
		var alone pb.ServerOp
		if err := proto.Unmarshal(AppendOp(nil, num, msg), &alone); err != nil {
			t.Fatal(err)
		}
		op.ProtoReflect().SetUnknown(nil)
		if !proto.Equal(&alone, op) {
			t.Fatalf("operation %d is %v, want %v", i, &alone, op)
		}
	}
}

func TestUnknownFieldsAndOperationsArePassedOver(t *testing.T) {
	grease := protowire.AppendBytes(protowire.AppendTag(nil, 4000, protowire.BytesType), []byte("time-travel"))
	completion, err := proto.Marshal(&pb.Completion{Object: make([]byte, 16), Outcome: &pb.Completion_Stored{Stored: 7}})
	if err != nil {
		t.Fatal(err)
	}
	op := AppendOp(append([]byte(nil), grease...), 20, append(completion, grease...))
	num, msg, err := SplitOp(op)
	if err != nil || num != 20 {
		t.Fatal(num, err)
	}
	if c, err := ParseCompletion(msg); err != nil || c.Size != 7 {
		t.Fatal(c, err)
	}
	if num, _, err := SplitOp(grease); num != 0 || err != nil {
		t.Fatal("an unknown operation is", num, err)
	}
	frame := append(protowire.AppendVarint([]byte{1 << 3}, 3), grease...)
	frame = protowire.AppendBytes(append(frame, OpsField), op)
	var f Frame
	if err := f.Parse(frame); err != nil || f.Seq != 3 || len(f.Ops) != 1 {
		t.Fatal(f, err)
	}
}

func FuzzServerFrame(f *testing.F) {
	for _, c := range messages(f) {
		if strings.HasSuffix(c.Message, ".ServerFrame") {
			_, data := c.decode(f)
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var frame Frame
		if frame.Parse(data) != nil {
			return
		}
		var m pb.ServerFrame
		if proto.Unmarshal(data, &m) != nil {
			return // A part that is decoded later, such as a string that is not UTF-8.
		}
		checkFrame(t, data, &m)
	})
}

func FuzzRun(f *testing.F) {
	for _, c := range messages(f) {
		if strings.HasSuffix(c.Message, ".Run") {
			_, data := c.decode(f)
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		run, err := ParseRun(data)
		var m pb.Run
		if proto.Unmarshal(data, &m) != nil || err != nil {
			return
		}
		if run.Attempt != m.GetAttempt() || len(run.Args) != len(m.GetArgs()) {
			t.Fatalf("read %+v, want %v", run, &m)
		}
	})
}
