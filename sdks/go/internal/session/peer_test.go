package session

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/pb"
)

// A node that does what a test says, over real sockets.

const patience = 20 * time.Second

// peer is the node's side of one connection.
type peer struct {
	t    testing.TB
	conn *net.UnixConn
}

// script gives a dialer and the peers of the connections that it makes.
type script struct {
	t     testing.TB
	peers chan *peer
	// Dialing fails with this, once it is set.
	mu   sync.Mutex
	gone error
}

func newScript(t testing.TB) *script { return &script{t: t, peers: make(chan *peer, 16)} }

func (s *script) dial(context.Context) (Carrier, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil {
		return nil, s.gone
	}
	ours, theirs := socketPair(s.t)
	s.peers <- &peer{s.t, theirs}
	return NewUnix(ours), nil
}

func (s *script) leave(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = err
}

func (s *script) accept() *peer {
	select {
	case p := <-s.peers:
		s.t.Cleanup(func() { p.conn.Close() })
		_ = p.conn.SetDeadline(time.Now().Add(patience))
		return p
	case <-time.After(patience):
		s.t.Error("nobody connected")
		return &peer{s.t, nil}
	}
}

func socketPair(t testing.TB) (*net.UnixConn, *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "pair")
		conn, err := net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = conn.(*net.UnixConn)
	}
	return conns[0], conns[1]
}

func (p *peer) read() *pb.ClientFrame {
	p.t.Helper()
	frame, err := p.tryRead()
	if err != nil {
		p.t.Fatalf("the client sent no frame: %v", err)
	}
	return frame
}

func (p *peer) tryRead() (*pb.ClientFrame, error) {
	head := make([]byte, prefixBytes)
	if _, err := io.ReadFull(p.conn, head); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head))
	if _, err := io.ReadFull(p.conn, body); err != nil {
		return nil, err
	}
	frame := &pb.ClientFrame{}
	if err := proto.Unmarshal(body, frame); err != nil {
		return nil, err
	}
	return frame, nil
}

// readCounted passes over frames without a number.
func (p *peer) readCounted() *pb.ClientFrame {
	p.t.Helper()
	for {
		if frame := p.read(); frame.GetSeq() > 0 {
			return frame
		}
	}
}

func (p *peer) write(frame *pb.ServerFrame, fds ...int) {
	p.t.Helper()
	body, err := proto.Marshal(frame)
	if err != nil {
		p.t.Fatal(err)
	}
	p.writeBytes(body, fds...)
}

func (p *peer) writeBytes(body []byte, fds ...int) {
	p.t.Helper()
	framed := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	n, _, err := p.conn.WriteMsgUnix(framed, rights, nil)
	if err == nil && n < len(framed) {
		_, err = p.conn.Write(framed[n:])
	}
	if err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, unix.ECONNRESET) {
		p.t.Fatal(err)
	}
}

func (p *peer) welcome(change func(*pb.Welcome)) *pb.Hello {
	p.t.Helper()
	frame := p.read()
	if frame.GetSeq() != 0 || len(frame.GetOps()) != 1 || frame.GetOps()[0].GetHello() == nil {
		p.t.Fatalf("the first frame is %v", frame)
	}
	welcome := &pb.Welcome{
		Version: 1, Features: []string{"streams"}, Session: []byte("session session "), Secret: []byte("secret"),
		Limits: &pb.Limits{FrameBytes: 1 << 20, InlineBytes: 100 << 10, WindowBytes: 8 << 20, GraceMs: 20_000},
	}
	if change != nil {
		change(welcome)
	}
	p.write(&pb.ServerFrame{Ops: []*pb.ServerOp{{Op: &pb.ServerOp_Welcome{Welcome: welcome}}}})
	return frame.GetOps()[0].GetHello()
}

// recorder is a handler that keeps what it is given.
type recorder struct {
	ops   chan protowire.Number
	ended chan *EndError
	fail  error
}

func newRecorder() *recorder {
	return &recorder{ops: make(chan protowire.Number, 1024), ended: make(chan *EndError, 1)}
}

func (r *recorder) Handle(op protowire.Number, _ []byte) error {
	r.ops <- op
	return r.fail
}
func (r *recorder) Gather()             {}
func (r *recorder) Ended(err *EndError) { r.ended <- err }

func (r *recorder) end(t testing.TB) *EndError {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		t.Fatal("the session did not end")
		return nil
	}
}

// open opens a session whose first connection is welcomed.
func open(t testing.TB, change func(*pb.Welcome)) (*Session, *recorder, *peer, *script) {
	t.Helper()
	r := newRecorder()
	session, p, s := openFor(t, r, change)
	return session, r, p, s
}

func openFor(t testing.TB, h Handler, change func(*pb.Welcome)) (*Session, *peer, *script) {
	t.Helper()
	s := newScript(t)
	peers := make(chan *peer, 1)
	go func() {
		p := s.accept()
		p.welcome(change)
		peers <- p
	}()
	session, err := Open(context.Background(), Config{Dial: s.dial, Hello: &pb.Hello{Role: pb.Role_ROLE_DRIVER}, Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	session.Start()
	t.Cleanup(session.Close)
	return session, <-peers, s
}

func cancelOp(n byte) *pb.Cancel { return &pb.Cancel{Id: []byte{n}} }

func post(t testing.TB, s *Session, n byte) {
	t.Helper()
	if err := s.PostMessage(14, cancelOp(n)); err != nil {
		t.Fatal(err)
	}
}

func cancelled(frame *pb.ClientFrame) (ids []byte) {
	for _, op := range frame.GetOps() {
		ids = append(ids, op.GetCancel().GetId()...)
	}
	return ids
}
