package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

// Numbers of the operations about the conversation itself, alike in both directions but for the first.
const (
	opHello   = 1
	opWelcome = 1
	opCredit  = 2
	opPing    = 3
	opPong    = 4
	opGoodbye = 5
	opArena   = 25
)

// read is the goroutine that takes what the node says, over as many connections as it takes.
func (s *Session) read() {
	for {
		err := s.receive(s.carrier())
		var end *EndError
		if errors.As(err, &end) {
			s.end(end)
			return
		}
		if s.closing.Load() {
			return
		}
		if end := s.resume(err); end != nil {
			s.end(end)
			return
		}
	}
}

// receive takes frames until the connection is lost or the session ends.
func (s *Session) receive(carrier Carrier) error {
	for {
		err := carrier.Receive(s.takeFrame)
		if err == nil {
			continue
		}
		var end *EndError
		if errors.As(err, &end) {
			return err
		}
		if errors.Is(err, errFrameTooLarge) {
			return s.violated(codeFrameTooLarge, err)
		}
		return err
	}
}

// violated tells the node that it broke the protocol, and gives the end of the session.
func (s *Session) violated(code uint32, err error) error {
	end := endError(code, "the node broke the protocol: %v", err)
	if s.greeting != greetingDone {
		return end // Before it is welcome, a client says nothing but hello (SESSION-010).
	}
	s.lastWords(func() {
		if !s.broken {
			s.goodbye(end.Failure)
		}
	})
	return end
}

func (s *Session) takeFrame(body []byte) error {
	s.received.Add(1)
	if err := s.frame.Parse(body); err != nil {
		return s.violated(codeMalformedFrame, err)
	}
	frame := &s.frame
	if s.greeting != greetingDone {
		return s.greeted(frame)
	}
	if frame.Seq == 0 {
		if err := s.takeUncounted(frame); err != nil {
			return err
		}
		return s.acknowledged(frame.Ack)
	}
	s.owe(len(body))
	switch seq := s.seqIn.Load(); {
	case frame.Seq <= seq:
		s.dropDescriptors(frame)
		return s.acknowledged(frame.Ack)
	case frame.Seq != seq+1:
		return s.violated(codeSequenceGap, fmt.Errorf("frame %d followed frame %d", frame.Seq, seq))
	}
	for _, op := range frame.Ops {
		num, msg, err := wire.SplitOp(op)
		if err != nil {
			return s.violated(codeMalformedFrame, err)
		}
		switch num {
		case 0:
			// A later version's; a client ignores it (SESSION-060).
		case opGoodbye:
			return s.handleGoodbye(msg)
		case opWelcome, opCredit, opPing, opPong:
			return s.violated(codeMalformedFrame, fmt.Errorf("operation %d came in a counted frame", num))
		default:
			if err := s.config.Handler.Handle(num, msg); err != nil {
				return s.violated(codeMalformedFrame, err)
			}
		}
	}
	s.seqIn.Store(frame.Seq)
	// Behind the operations: a refusal among them names a frame that this acknowledges.
	return s.acknowledged(frame.Ack)
}

// dropDescriptors closes what came again with a frame that was taken before (DATA-012).
func (s *Session) dropDescriptors(frame *wire.Frame) {
	for _, op := range frame.Ops {
		if num, _, err := wire.SplitOp(op); err == nil && num == opArena {
			if file := s.carrier().Descriptor(); file != nil {
				file.Close()
			}
		}
	}
}

func (s *Session) takeUncounted(frame *wire.Frame) error {
	for _, op := range frame.Ops {
		num, msg, err := wire.SplitOp(op)
		if err != nil {
			return s.violated(codeMalformedFrame, err)
		}
		switch num {
		case 0:
		case opCredit:
			var credit pb.Credit
			if err := proto.Unmarshal(msg, &credit); err != nil {
				return s.violated(codeMalformedFrame, err)
			}
			// More than a window is never owed; a number that wraps around would be a defect of the node.
			if s.credit.Add(int64(min(credit.GetBytes(), 1<<40))) > 0 {
				s.wake()
			}
		case opPing:
			var ping pb.Ping
			if err := proto.Unmarshal(msg, &ping); err != nil {
				return s.violated(codeMalformedFrame, err)
			}
			s.postControl(opPong, &pb.Pong{Nonce: ping.GetNonce()})
		case opPong:
		case opGoodbye:
			return s.handleGoodbye(msg)
		case opWelcome:
			return s.violated(codeMalformedFrame, errors.New("a second welcome came"))
		default:
			return s.violated(codeMalformedFrame, fmt.Errorf("operation %d came without a number", num))
		}
	}
	return nil
}

func (s *Session) handleGoodbye(msg []byte) error {
	var goodbye pb.Goodbye
	if err := proto.Unmarshal(msg, &goodbye); err != nil {
		return s.violated(codeMalformedFrame, err)
	}
	if goodbye.GetFailure() == nil {
		return endError(codeConnectionLost, "the node ended the session")
	}
	return &EndError{goodbye.GetFailure()}
}

// owe counts bytes of the node's window, and gives them back in time (SESSION-042).
func (s *Session) owe(bytes int) {
	s.owed += uint64(bytes)
	if s.owed >= windowBytes/8 {
		s.postControl(opCredit, &pb.Credit{Bytes: s.owed})
		s.owed = 0
	}
}

// acknowledged forgets frames that the node has taken.
func (s *Session) acknowledged(ack uint64) error {
	if ack == 0 {
		return nil
	}
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	if ack > s.seqOut {
		return endError(codeSequenceGap, "the node acknowledged frame %d, and %d was the last", ack, s.seqOut)
	}
	n := 0
	for n < len(s.unacked) && s.unacked[n].seq <= ack {
		n++
	}
	if n == 0 {
		return nil
	}
	s.mu.Lock()
	for _, sent := range s.unacked[:n] {
		if cap(sent.body) <= 2*frameBytesAim && len(s.spare) < spareBuffers {
			s.spare = append(s.spare, sent.body[:prefixBytes])
		}
	}
	s.mu.Unlock()
	s.unacked = append(s.unacked[:0], s.unacked[n:]...)
	return nil
}

// connect makes a connection and says hello on it. The session reads alone while it does.
func (s *Session) connect(ctx context.Context) error {
	carrier, err := s.config.Dial(ctx)
	if err != nil {
		return err
	}
	hello := s.config.Hello
	s.greeting = greetingFirst
	if s.welcome != nil {
		s.greeting = greetingResume
		hello.Resume = &pb.ResumeSession{Session: s.welcome.GetSession(), Secret: s.welcome.GetSecret(), Ack: s.seqIn.Load()}
	}
	body, err := proto.Marshal(hello)
	if err != nil {
		carrier.Close()
		return err
	}
	frame := append(make([]byte, prefixBytes, len(body)+16), wire.OpsField)
	frame = protowire.AppendBytes(frame, wire.AppendOp(nil, opHello, body))
	s.connection.Store(&connection{carrier})
	if s.ended.Load() != nil {
		carrier.Close()
	}
	stop := context.AfterFunc(ctx, carrier.Close)
	defer stop()
	// A node that refuses may have closed already: what it said is read all the same.
	sendErr := carrier.Send(frame)
	for {
		err := carrier.Receive(s.takeFrame)
		switch {
		case err == nil:
		case errors.Is(err, errWelcomed):
			return nil
		default:
			carrier.Close()
			var end *EndError
			if sendErr != nil && !errors.As(err, &end) {
				return sendErr
			}
			return err
		}
	}
}

// errWelcomed ends Receive behind a welcome: what came with it is for the reading goroutine, once the handler is ready.
var errWelcomed = errors.New("welcomed")

// greeted takes the answer to a hello.
func (s *Session) greeted(frame *wire.Frame) error {
	if frame.Seq != 0 || len(frame.Ops) != 1 {
		return endError(codeMalformedFrame, "the node answered the hello with something else than a welcome; is it a thornback?")
	}
	num, msg, err := wire.SplitOp(frame.Ops[0])
	if err != nil {
		return endError(codeMalformedFrame, "the node's welcome cannot be read: %v", err)
	}
	if num == opGoodbye {
		return s.handleGoodbye(msg)
	}
	var welcome pb.Welcome
	if err := proto.Unmarshal(msg, &welcome); num != opWelcome || err != nil {
		return endError(codeMalformedFrame, "the node answered the hello with something else than a welcome; is it a thornback?")
	}
	if s.greeting == greetingFirst {
		if welcome.GetVersion() != 1 {
			return endError(codeMalformedFrame, "the node chose version %d, which was not offered", welcome.GetVersion())
		}
		s.welcome = &welcome
		s.frameBytes = DefaultFrameBytes
		if limit := welcome.GetLimits().GetFrameBytes(); limit > 0 && limit < DefaultFrameBytes {
			s.frameBytes = int(limit)
		}
	} else if !welcome.GetResumed() {
		return endError(codeSessionExpired, "the node began a new session where this one should have gone on")
	}
	s.carrier().Limit(uint64(s.frameBytes))
	return s.begin(&welcome)
}

// begin makes the connection that was welcomed the session's.
func (s *Session) begin(welcome *pb.Welcome) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	window := welcome.GetLimits().GetWindowBytes()
	if window == 0 {
		window = defaultWindowBytes
	}
	s.credit.Store(int64(min(window, 1<<40)))
	s.owed = 0
	s.greeting = greetingDone
	s.broken = false
	if welcome.GetResumed() {
		s.ackMu.Lock()
		defer s.ackMu.Unlock()
		if welcome.GetAck() > s.seqOut {
			return endError(codeSequenceGap, "the node acknowledged frame %d, and %d was the last", welcome.GetAck(), s.seqOut)
		}
		for len(s.unacked) > 0 && s.unacked[0].seq <= welcome.GetAck() {
			s.unacked = s.unacked[1:]
		}
		s.resend = append([]sentFrame(nil), s.unacked...)
	}
	s.wake()
	return errWelcomed
}

// resume connects again within the node's grace, and goes on. Else it says why the session is over.
func (s *Session) resume(lost error) *EndError {
	// First, since it is what ends a send that waits.
	s.carrier().Close()
	s.sendMu.Lock()
	s.broken = true
	s.sendMu.Unlock()
	s.mu.Lock()
	s.control = nil
	s.mu.Unlock()
	grace := time.Duration(s.welcome.GetLimits().GetGraceMs()) * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	for {
		err := s.connect(ctx)
		var end *EndError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &end):
			return end
		case errors.Is(err, ErrGone):
			return endError(codeConnectionLost, "the connection to the node is lost (%v), and the node is gone", lost)
		}
		select {
		case <-ctx.Done():
			return endError(codeConnectionLost, "the connection to the node is lost (%v) and could not be made again within %v: %v", lost, grace, err)
		case <-s.done:
			return endError(codeConnectionLost, "the session was closed")
		case <-time.After(redialPause):
		}
	}
}

// beat asks for a sign of life when none came, and gives up a connection on which none comes (SESSION-050).
func (s *Session) beat(heartbeat time.Duration) {
	heard, silent := s.received.Load(), 0
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.done:
			return
		}
		if now := s.received.Load(); now != heard {
			heard, silent = now, 0
			continue
		}
		silent++
		switch {
		case silent >= 3:
			silent = 0
			// Without `sendMu`: a send to a dead peer may hold it. The reader makes the next connection, and it is the one that fails now.
			s.carrier().Close()
		default:
			s.postControl(opPing, &pb.Ping{})
		}
	}
}
