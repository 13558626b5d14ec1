package session

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

func ping(n uint64) *pb.ServerFrame {
	return &pb.ServerFrame{Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Ping{Ping: &pb.Ping{Nonce: n}}}}}
}

func completion() *pb.ServerOp {
	return &pb.ServerOp{Op: &pb.ServerOp_Completion{Completion: &pb.Completion{Object: make([]byte, 16)}}}
}

func TestOperationsAreNumberedAndInOrder(t *testing.T) {
	s, _, p, _ := open(t, nil)
	for n := range byte(100) {
		post(t, s, n)
	}
	s.Flush()
	var got []byte
	for seq := uint64(1); len(got) < 100; seq++ {
		frame := p.readCounted()
		if frame.GetSeq() != seq {
			t.Fatalf("frame %d came where %d should", frame.GetSeq(), seq)
		}
		got = append(got, cancelled(frame)...)
	}
	for i, n := range got {
		if int(n) != i {
			t.Fatal(got)
		}
	}
}

func TestWhatIsPostedAtOnceTravelsTogether(t *testing.T) {
	// Without credit for a second frame everything gathers behind the first.
	s, _, p, _ := open(t, func(w *pb.Welcome) { w.Limits.WindowBytes = 1 })
	post(t, s, 0)
	s.Flush()
	first := p.readCounted()
	for range 10_000 {
		post(t, s, 1)
	}
	p.write(&pb.ServerFrame{Ack: first.GetSeq(), Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Credit{Credit: &pb.Credit{Bytes: 1 << 20}}}}})
	if second := p.readCounted(); len(second.GetOps()) != 10_000 {
		t.Fatalf("10,000 operations came in pieces; the first has %d", len(second.GetOps()))
	}
}

func TestFramesStayBelowTheLimit(t *testing.T) {
	const limit = 4096
	s, _, p, _ := open(t, func(w *pb.Welcome) { w.Limits.FrameBytes = limit })
	data := bytes.Repeat([]byte{7}, 1500)
	for range 20 {
		if err := s.PostMessage(18, &pb.Write{Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PostMessage(18, &pb.Write{Data: make([]byte, limit)}); err == nil {
		t.Fatal("an operation that fits no frame was taken")
	}
	s.Flush()
	for n := 0; n < 20; {
		frame := p.readCounted()
		if size := proto.Size(frame); size > limit {
			t.Fatalf("a frame has %d bytes", size)
		}
		n += len(frame.GetOps())
	}
}

func TestNothingIsSentWithoutCredit(t *testing.T) {
	s, _, p, _ := open(t, func(w *pb.Welcome) { w.Limits.WindowBytes = 5 })
	post(t, s, 1)
	s.Flush()
	if got := cancelled(p.readCounted()); !bytes.Equal(got, []byte{1}) {
		t.Fatal(got)
	}
	post(t, s, 2)
	s.Flush()
	p.write(ping(9))
	// The answer to a ping needs no credit, so it overtakes what does.
	if frame := p.read(); frame.GetSeq() != 0 || frame.GetOps()[0].GetPong().GetNonce() != 9 {
		t.Fatalf("%v was sent without credit", frame)
	}
	p.write(&pb.ServerFrame{Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Credit{Credit: &pb.Credit{Bytes: 100}}}}})
	if got := cancelled(p.readCounted()); !bytes.Equal(got, []byte{2}) {
		t.Fatal(got)
	}
}

func TestWhoPostsTooMuchWaits(t *testing.T) {
	s, _, p, _ := open(t, func(w *pb.Welcome) { w.Limits.WindowBytes = 5 })
	data := make([]byte, 1<<19)
	for range 36 {
		if err := s.PostMessage(18, &pb.Write{Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if err := s.WaitRoom(stopped); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	room := make(chan error, 1)
	go func() { room <- s.WaitRoom(context.Background()) }()
	for range 36 {
		p.write(&pb.ServerFrame{Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Credit{Credit: &pb.Credit{Bytes: 1 << 20}}}}})
		p.readCounted()
	}
	if err := <-room; err != nil {
		t.Fatal(err)
	}
}

func TestCreditIsGivenBack(t *testing.T) {
	_, r, p, _ := open(t, nil)
	data := make([]byte, 1<<19)
	sent := uint64(0)
	for seq := uint64(1); sent < windowBytes/4; seq++ {
		frame := &pb.ServerFrame{Seq: seq, Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Chunk{Chunk: &pb.Chunk{Data: data}}}}}
		sent += uint64(proto.Size(frame))
		p.write(frame)
		<-r.ops
	}
	frame := p.read()
	if got := frame.GetOps()[0].GetCredit().GetBytes(); got == 0 || got > sent || frame.GetAck() == 0 {
		t.Fatalf("%v for %d bytes", frame, sent)
	}
}

func TestASessionGoesOnAfterItsConnectionIsLost(t *testing.T) {
	s, r, p, script := open(t, nil)
	for n := byte(1); n <= 3; n++ {
		post(t, s, n)
		s.Flush()
		if got := cancelled(p.readCounted()); got[0] != n {
			t.Fatal(got)
		}
	}
	p.write(&pb.ServerFrame{Seq: 1, Ack: 1, Ops: []*pb.ServerOp{completion()}})
	<-r.ops
	p.conn.Close()
	post(t, s, 4)

	next := script.accept()
	hello := next.welcome(func(w *pb.Welcome) { w.Resumed, w.Ack = true, 2 })
	if resume := hello.GetResume(); !bytes.Equal(resume.GetSecret(), []byte("secret")) || resume.GetAck() != 1 || string(resume.GetSession()) != "session session " {
		t.Fatalf("%v", hello)
	}
	for seq := uint64(3); seq <= 4; seq++ {
		frame := next.readCounted()
		if frame.GetSeq() != seq || cancelled(frame)[0] != byte(seq) {
			t.Fatalf("%v came where frame %d should", frame, seq)
		}
	}
	// What comes again is not taken again.
	next.write(&pb.ServerFrame{Seq: 1, Ops: []*pb.ServerOp{completion()}})
	next.write(&pb.ServerFrame{Seq: 2, Ack: 4, Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Log{Log: &pb.Log{}}}}})
	if op := <-r.ops; op != 27 {
		t.Fatalf("operation %d was taken twice", op)
	}
}

func TestASessionThatCannotGoOnEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(*script)
		code uint32
	}{
		{"a new session", func(s *script) { s.accept().welcome(nil) }, codeSessionExpired},
		{"refused", func(s *script) {
			p := s.accept()
			p.read()
			p.write(&pb.ServerFrame{Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Goodbye{Goodbye: &pb.Goodbye{Failure: &pb.Failure{Code: 6}}}}}})
		}, 6},
		{"gone", func(s *script) {}, codeConnectionLost},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, r, p, script := open(t, nil)
			if c.name == "gone" {
				script.leave(fmt.Errorf("%w: as the test wants", ErrGone))
			}
			p.conn.Close()
			c.then(script)
			if end := r.end(t); end.Failure.GetCode() != c.code {
				t.Fatal(end)
			}
		})
	}
	t.Run("too late", func(t *testing.T) {
		_, r, p, script := open(t, func(w *pb.Welcome) { w.Limits.GraceMs = 50 })
		script.leave(errors.New("not now"))
		p.conn.Close()
		if end := r.end(t); end.Failure.GetCode() != codeConnectionLost {
			t.Fatal(end)
		}
	})
}

func TestARefusedHelloSaysWhy(t *testing.T) {
	for name, answer := range map[string]*pb.ServerFrame{
		"goodbye":           {Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Goodbye{Goodbye: &pb.Goodbye{Failure: &pb.Failure{Code: 5, Message: "no token"}}}}}},
		"something else":    ping(1),
		"nothing":           {},
		"counted":           {Seq: 1, Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Welcome{Welcome: &pb.Welcome{Version: 1}}}}},
		"another version":   {Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Welcome{Welcome: &pb.Welcome{Version: 2}}}}},
		"the end of a file": nil,
	} {
		t.Run(name, func(t *testing.T) {
			script := newScript(t)
			go func() {
				p := script.accept()
				_, _ = p.tryRead()
				if answer != nil {
					p.write(answer)
				}
				p.conn.Close()
			}()
			_, err := Open(context.Background(), Config{Dial: script.dial, Hello: &pb.Hello{}, Handler: newRecorder()})
			var end *EndError
			switch {
			case err == nil:
				t.Fatal("the session was opened")
			case name == "goodbye" && (!errors.As(err, &end) || end.Failure.GetCode() != 5):
				t.Fatal(err)
			}
		})
	}
}

func TestANodeThatBreaksTheProtocolIsLeft(t *testing.T) {
	marshal := func(f *pb.ServerFrame) []byte {
		b, err := proto.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	welcome := &pb.ServerOp{Op: &pb.ServerOp_Welcome{Welcome: &pb.Welcome{Version: 1}}}
	for name, c := range map[string]struct {
		body []byte
		code uint32
	}{
		"a gap":                              {marshal(&pb.ServerFrame{Seq: 2, Ops: []*pb.ServerOp{completion()}}), codeSequenceGap},
		"an acknowledgement of nothing":      {marshal(&pb.ServerFrame{Ack: 77}), codeSequenceGap},
		"no protobuf":                        {[]byte{0xff, 0xff}, codeMalformedFrame},
		"a cut operation":                    {[]byte{0x08, 1, 0x1a, 0x7f}, codeMalformedFrame},
		"an operation of garbage":            {[]byte{0x08, 1, 0x1a, 2, 0xff, 0xff}, codeMalformedFrame},
		"an operation without a number":      {marshal(&pb.ServerFrame{Ops: []*pb.ServerOp{completion()}}), codeMalformedFrame},
		"credit with a number":               {marshal(&pb.ServerFrame{Seq: 1, Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Credit{Credit: &pb.Credit{}}}}}), codeMalformedFrame},
		"a second welcome":                   {marshal(&pb.ServerFrame{Ops: []*pb.ServerOp{welcome}}), codeMalformedFrame},
		"a frame that is longer than agreed": {make([]byte, 1<<20+1), codeFrameTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, r, p, _ := open(t, nil)
			go p.writeBytes(c.body)
			if end := r.end(t); end.Failure.GetCode() != c.code {
				t.Fatal(end)
			}
			for {
				frame, err := p.tryRead()
				if err != nil {
					break // Closed: the goodbye may have been cut off by what was not read.
				}
				for _, op := range frame.GetOps() {
					if f := op.GetGoodbye().GetFailure(); f != nil && f.GetCode() != c.code {
						t.Fatal(f)
					}
				}
			}
		})
	}
}

func TestAViolationIsToldThoughSomethingElseIsJustBeingSent(t *testing.T) {
	s, r, p, _ := open(t, nil)
	s.sendMu.Lock()
	p.writeBytes([]byte{0xff, 0xff})
	// Until the reader has come to say so, which nothing shows.
	time.Sleep(20 * time.Millisecond)
	s.sendMu.Unlock()
	if f := p.read().GetOps()[0].GetGoodbye().GetFailure(); f.GetCode() != codeMalformedFrame {
		t.Fatal(f)
	}
	if end := r.end(t); end.Failure.GetCode() != codeMalformedFrame {
		t.Fatal(end)
	}
}

func TestTheNodesGoodbyeEndsASession(t *testing.T) {
	s, r, p, _ := open(t, nil)
	p.write(&pb.ServerFrame{Seq: 1, Ops: []*pb.ServerOp{completion(), {Op: &pb.ServerOp_Goodbye{Goodbye: &pb.Goodbye{Failure: &pb.Failure{Code: 14}}}}, completion()}})
	if end := r.end(t); end.Failure.GetCode() != 14 {
		t.Fatal(end)
	}
	if len(r.ops) != 1 {
		t.Fatalf("%d operations were taken; wanted the one before the goodbye", len(r.ops))
	}
	<-s.Done()
	if err := s.Post([]byte{1}); err != nil || s.Err() == nil {
		t.Fatal(err, s.Err())
	}
}

func TestOurGoodbyeComesBehindWhatWasPosted(t *testing.T) {
	s, r, p, _ := open(t, nil)
	post(t, s, 1)
	s.Close()
	if got := cancelled(p.readCounted()); !bytes.Equal(got, []byte{1}) {
		t.Fatal(got)
	}
	if frame := p.read(); frame.GetOps()[0].GetGoodbye() == nil {
		t.Fatal(frame)
	}
	if end := r.end(t); end.Failure.GetCode() != codeConnectionLost {
		t.Fatal(end)
	}
}

func TestUnknownOperationsAreIgnored(t *testing.T) {
	_, r, p, _ := open(t, nil)
	grease := protowire.AppendBytes(protowire.AppendTag(nil, 3000, protowire.BytesType), []byte("time-travel"))
	op, err := proto.Marshal(completion())
	if err != nil {
		t.Fatal(err)
	}
	body := protowire.AppendBytes([]byte{0x08, 1, wire.OpsField}, grease)
	body = protowire.AppendBytes(append(body, wire.OpsField), append(op, grease...))
	p.writeBytes(append(body, grease...))
	if op := <-r.ops; op != 20 {
		t.Fatal(op)
	}
}

func TestASilentNodeIsAskedAndThenLeft(t *testing.T) {
	_, r, p, script := open(t, func(w *pb.Welcome) { w.Limits.HeartbeatMs = 20 })
	if frame := p.read(); frame.GetOps()[0].GetPing() == nil {
		t.Fatal(frame)
	}
	// On a busy machine the next connection may be found silent as well, before it was heard.
	go func() {
		for next := range script.peers {
			if frame, err := next.tryRead(); err != nil || frame.GetOps()[0].GetHello().GetResume() == nil {
				continue
			}
			next.write(&pb.ServerFrame{Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Welcome{Welcome: &pb.Welcome{Version: 1, Resumed: true, Limits: &pb.Limits{}}}}}})
			next.write(&pb.ServerFrame{Seq: 1, Ops: []*pb.ServerOp{completion()}})
		}
	}()
	if op := <-r.ops; op != 20 {
		t.Fatal(op)
	}
}

func TestARefusedOperationIsFound(t *testing.T) {
	s, _, p, _ := open(t, nil)
	post(t, s, 5)
	post(t, s, 6)
	s.Flush()
	frame := p.readCounted()
	if len(frame.GetOps()) == 2 {
		if op, msg := s.Operation(1, 1); op != 14 || !bytes.Contains(msg, []byte{6}) {
			t.Fatal(op, msg)
		}
	}
	if op, _ := s.Operation(1, 9); op != 0 {
		t.Fatal(op)
	}
	if op, _ := s.Operation(8, 0); op != 0 {
		t.Fatal(op)
	}
}

// fileHandler takes the descriptors of arenas.
type fileHandler struct {
	*recorder
	session atomic.Pointer[Session]
	files   chan *os.File
}

func (h *fileHandler) Handle(op protowire.Number, msg []byte) error {
	if op == opArena {
		h.files <- h.session.Load().Descriptor()
	}
	return h.recorder.Handle(op, msg)
}

func TestDescriptorsComeWithTheirArenas(t *testing.T) {
	h := &fileHandler{recorder: newRecorder(), files: make(chan *os.File, 4)}
	s, p, script := openFor(t, h, nil)
	h.session.Store(s)
	memory := func(name string) int {
		fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	arena := func(n uint32) *pb.ServerOp {
		return &pb.ServerOp{Op: &pb.ServerOp_Arena{Arena: &pb.Arena{Number: n, Size: 1}}}
	}
	inode := func(fd int) uint64 {
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil {
			t.Fatal(err)
		}
		return stat.Ino
	}
	one, two, three := memory("one"), memory("two"), memory("three")
	p.write(&pb.ServerFrame{Seq: 1, Ops: []*pb.ServerOp{arena(1), arena(2)}}, one, two)
	for _, fd := range []int{one, two} {
		file := <-h.files
		if file == nil || inode(int(file.Fd())) != inode(fd) {
			t.Fatal("a descriptor came with the wrong arena")
		}
		file.Close()
	}
	p.conn.Close()
	next := script.accept()
	next.welcome(func(w *pb.Welcome) { w.Resumed = true })
	// The first frame comes again, with its descriptors; the next arena must not get one of them.
	next.write(&pb.ServerFrame{Seq: 1, Ops: []*pb.ServerOp{arena(1), arena(2)}}, one, two)
	next.write(&pb.ServerFrame{Seq: 2, Ops: []*pb.ServerOp{arena(3)}}, three)
	file := <-h.files
	if file == nil || inode(int(file.Fd())) != inode(three) {
		t.Fatal("a descriptor of a repeated frame was taken for a new one's")
	}
	file.Close()
}

type framingCase struct {
	Name, Stream, Rest, Code string
	Limit                    uint64
	Frames                   []string
}

func TestFramesAreCutHoweverTheStreamIsSplit(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "protocol", "vectors", "framing.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []framingCase }
	if err := json.Unmarshal(text, &file); err != nil || len(file.Cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, c := range file.Cases {
		for _, size := range []int{1, 3, 1 << 20} {
			t.Run(fmt.Sprintf("%s, %d bytes at a time", c.Name, size), func(t *testing.T) {
				stream, err := hex.DecodeString(c.Stream)
				if err != nil {
					t.Fatal(err)
				}
				ours, theirs := socketPair(t)
				carrier := NewUnix(ours)
				defer carrier.Close()
				carrier.Limit(c.Limit)
				go func() {
					defer theirs.Close()
					for len(stream) > 0 {
						n := min(size, len(stream))
						if _, err := theirs.Write(stream[:n]); err != nil {
							return
						}
						stream = stream[n:]
					}
				}()
				var got []string
				for err == nil {
					err = carrier.Receive(func(body []byte) error {
						got = append(got, hex.EncodeToString(body))
						return nil
					})
				}
				if fmt.Sprint(got) != fmt.Sprint(c.Frames) {
					t.Fatalf("cut %v, want %v", got, c.Frames)
				}
				if tooLarge := errors.Is(err, errFrameTooLarge); tooLarge != (c.Code == "FRAME_TOO_LARGE") {
					t.Fatal(err)
				}
			})
		}
	}
}

// FuzzFrames gives a session whatever frames a node might send. Whatever they are, it goes on or ends with a reason.
func FuzzFrames(f *testing.F) {
	for _, frame := range []*pb.ServerFrame{ping(1), {Seq: 1, Ack: 0, Ops: []*pb.ServerOp{completion()}}, {Ack: 9}} {
		b, err := proto.Marshal(frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, b)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s := &Session{config: Config{Handler: newRecorder()}, kick: make(chan struct{}, 1), done: make(chan struct{}), greeting: greetingDone, welcome: &pb.Welcome{}}
		s.queue, s.head = make([]byte, prefixBytes), prefixBytes
		s.broken = true
		s.connection.Store(&connection{deadCarrier{}})
		for _, body := range [][]byte{first, second} {
			before := s.seqIn.Load()
			err := s.takeFrame(body)
			var end *EndError
			if err != nil && !errors.As(err, &end) {
				t.Fatalf("%x ended the session with %v, which is no reason", body, err)
			}
			if after := s.seqIn.Load(); after > before+1 {
				t.Fatalf("%x moved the session from frame %d to %d", body, before, after)
			}
			if err != nil {
				return
			}
		}
	})
}

type deadCarrier struct{}

func (deadCarrier) Receive(func([]byte) error) error { return os.ErrClosed }
func (deadCarrier) Send([]byte) error                { return os.ErrClosed }
func (deadCarrier) Descriptor() *os.File             { return nil }
func (deadCarrier) Limit(uint64)                     {}
func (deadCarrier) SharedMemory() bool               { return false }
func (deadCarrier) Close()                           {}
