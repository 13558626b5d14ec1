// Package session is one conversation with a node: hello, order, acknowledgement, credit, batching, resumption, heartbeats.
//
// It knows operations only by their numbers, hands them to whoever opened it, and never looks into a value. What it sends was
// encoded before; what it receives is decoded behind it.
//
// Operations are posted to a buffer and sent together: at once by whoever is about to wait (Flush), when enough have come
// together, or by the writer within about half a millisecond. A buffer becomes a frame as it is, so posting costs no system call.
package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

const (
	// DefaultFrameBytes is the limit of a frame before the node says another (SESSION-003).
	DefaultFrameBytes = 4 << 20

	defaultWindowBytes = 8 << 20
	windowBytes        = 16 << 20
	// Frames are cut about here, though they may be longer: the node works on one while the next is on its way.
	frameBytesAim = 256 << 10
	batchOps      = 128
	batchBytes    = 16 << 10
	// How long a posted operation may wait for company.
	lingerTime = 500 * time.Microsecond
	// Whoever posts beyond this waits for the node (WaitRoom).
	queuedBytesMax = 16 << 20
	helloTimeout   = 30 * time.Second
	goodbyeTimeout = time.Second
	redialPause    = 20 * time.Millisecond
	spareBuffers   = 8
)

// Codes of protocol/errors/codes.yaml that a session makes itself.
const (
	codeUnauthenticated = 5
	codeFrameTooLarge   = 7
	codeMalformedFrame  = 8
	codeSequenceGap     = 10
	codeSessionExpired  = 11
	codeConnectionLost  = 17
)

// EndError is why a session is over.
type EndError struct{ Failure *pb.Failure }

func (e *EndError) Error() string { return e.Failure.GetMessage() }

func endError(code uint32, format string, args ...any) *EndError {
	return &EndError{&pb.Failure{Code: code, Message: fmt.Sprintf(format, args...)}}
}

// ErrGone is wrapped by the error of a dialer that knows that the node will not come back.
var ErrGone = errors.New("the node is gone")

// Handler takes what the node says. Its methods run on the reading goroutine, one at a time and in order, and must not wait.
type Handler interface {
	// Handle takes an operation: its number in ServerOp, and the message, which is valid only during the call. An error ends the session:
	// the node broke the protocol.
	Handle(op protowire.Number, msg []byte) error
	// Gather posts what may wait until something is sent anyway. It runs before each frame, in any goroutine.
	Gather()
	// Ended is called once, when no more comes.
	Ended(err *EndError)
}

// Config is what a session is opened with.
type Config struct {
	// Dial makes a connection, for the first time and again after each loss.
	Dial func(ctx context.Context) (Carrier, error)
	// Hello is sent with versions and window filled in, and `resume` on later connections.
	Hello *pb.Hello
	// Handler is what the operations are for.
	Handler Handler
}

// Session is safe for concurrent use.
type Session struct {
	config  Config
	welcome *pb.Welcome
	// Of this session's frames; set before anything is posted.
	frameBytes int

	// The buffer of posted operations, each as field `ops` of a frame behind room for a prefix; and of those without a number.
	mu    sync.Mutex
	room  sync.Cond
	queue []byte
	// Where what is not sent yet begins.
	head    int
	ops     int
	control []byte
	spare   [][]byte
	armed   bool
	linger  *time.Timer

	kick chan struct{}
	done chan struct{}

	connection atomic.Pointer[connection]

	// Held while a frame is written, which may take as long as the node pleases: the reading goroutine takes it only for a new connection.
	sendMu sync.Mutex
	broken bool
	resend []sentFrame

	ackMu   sync.Mutex
	seqOut  uint64
	unacked []sentFrame

	credit   atomic.Int64
	seqIn    atomic.Uint64
	received atomic.Uint64

	// The reading side, of its goroutine alone.
	frame    wire.Frame
	owed     uint64
	greeting greeting

	endOnce sync.Once
	ended   atomic.Pointer[EndError]
	closing atomic.Bool
}

type connection struct{ Carrier }

type sentFrame struct {
	seq  uint64
	body []byte // With its prefix.
}

type greeting int

const (
	greetingFirst greeting = iota
	greetingResume
	greetingDone
)

// Open connects and says hello. The handler hears nothing before Start. The error is an *EndError if the node refused, else that of dialing.
func Open(ctx context.Context, config Config) (*Session, error) {
	s := &Session{config: config, kick: make(chan struct{}, 1), done: make(chan struct{})}
	s.room.L = &s.mu
	s.queue, s.head = make([]byte, prefixBytes, 4096), prefixBytes
	s.linger = time.AfterFunc(time.Hour, s.lingered)
	s.linger.Stop()
	config.Hello.VersionMin, config.Hello.VersionMax = 1, 1
	config.Hello.WindowBytes = windowBytes
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	if err := s.connect(ctx); err != nil {
		var end *EndError
		if !errors.As(err, &end) && context.Cause(ctx) != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return s, nil
}

// Start begins to hand out operations: what the handler needs must be in place.
func (s *Session) Start() {
	go s.write()
	go s.read()
	if heartbeat := s.welcome.GetLimits().GetHeartbeatMs(); heartbeat > 0 {
		go s.beat(time.Duration(heartbeat) * time.Millisecond)
	}
}

// Welcome is what the node said first.
func (s *Session) Welcome() *pb.Welcome { return s.welcome }

// HasFeature reports whether both sides have it.
func (s *Session) HasFeature(name string) bool { return slices.Contains(s.welcome.GetFeatures(), name) }

// Done is closed when the session is over.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err is why the session is over; nil while it is not.
func (s *Session) Err() error {
	if end := s.ended.Load(); end != nil {
		return end
	}
	return nil
}

// Descriptor takes the file that came with the operation that is being handled.
func (s *Session) Descriptor() *os.File { return s.carrier().Descriptor() }

func (s *Session) carrier() Carrier { return s.connection.Load().Carrier }

// FrameBytes is how long a frame may be.
func (s *Session) FrameBytes() int { return s.frameBytes }

// Post queues an operation (a ClientOp): it is sent soon, behind those posted before it. It never waits and never sends, so it is safe in a handler. After
// the end of the session it does nothing. The error says that the operation is longer than a frame may be.
func (s *Session) Post(op []byte) error {
	full, err := s.enqueue(op)
	if full {
		s.wake()
	}
	return err
}

// Send is Post for those who may wait: when enough has come together it is sent by the caller.
func (s *Session) Send(op []byte) error {
	full, err := s.enqueue(op)
	if full {
		s.Flush()
	}
	return err
}

// enqueue appends an operation. True once enough has come together.
func (s *Session) enqueue(op []byte) (full bool, err error) {
	if len(op)+wire.FrameTail+8 > s.frameBytes {
		return false, fmt.Errorf("an operation of %d bytes does not fit a frame of %d", len(op), s.frameBytes)
	}
	s.mu.Lock()
	if s.ended.Load() != nil {
		s.mu.Unlock()
		return false, nil
	}
	s.queue = append(s.queue, wire.OpsField)
	s.queue = protowire.AppendBytes(s.queue, op)
	s.ops++
	full = s.ops%batchOps == 0 || len(op) >= batchBytes
	arm := !full && !s.armed
	if arm {
		s.armed = true
	}
	s.mu.Unlock()
	if arm {
		s.linger.Reset(lingerTime)
	}
	return full, nil
}

// PostMessage posts an operation by its number and message.
func (s *Session) PostMessage(op protowire.Number, msg proto.Message) error {
	body, err := proto.Marshal(msg)
	if err != nil {
		return err
	}
	return s.Post(wire.AppendOp(make([]byte, 0, len(body)+8), op, body))
}

// WaitRoom waits while too much is queued for a node that takes it too slowly.
func (s *Session) WaitRoom(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queued() < queuedBytesMax {
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.room.Broadcast()
	})
	defer stop()
	for s.queued() >= queuedBytesMax && s.ended.Load() == nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.room.Wait()
	}
	return nil
}

// Flush sends what is posted, as far as the node's credit reaches. If another goroutine is sending, that one goes on until all is sent.
func (s *Session) Flush() {
	for {
		if !s.sendMu.TryLock() {
			return
		}
		stuck := s.sendReady()
		s.sendMu.Unlock()
		// Something may have been posted by one who found the lock taken.
		if stuck || !s.pending() {
			return
		}
	}
}

func (s *Session) pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ops > 0 || len(s.control) > 0
}

func (s *Session) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func (s *Session) lingered() {
	s.mu.Lock()
	s.armed = false
	s.mu.Unlock()
	s.wake()
}

// write is the goroutine that sends what nobody else does. Unlike Flush it waits for the lock: what was granted while another found no credit
// must not be overlooked.
func (s *Session) write() {
	for {
		select {
		case <-s.kick:
		case <-s.done:
			return
		}
		s.sendMu.Lock()
		s.sendReady()
		s.sendMu.Unlock()
	}
}

// sendReady sends all that may be sent. True if something is left that waits for credit or a connection. `sendMu` is held.
func (s *Session) sendReady() (stuck bool) {
	if s.broken || s.ended.Load() != nil {
		return true
	}
	s.config.Handler.Gather()
	if !s.sendControl() {
		return true
	}
	for len(s.resend) > 0 {
		if s.credit.Load() <= 0 {
			return true
		}
		next := s.resend[0]
		s.resend = s.resend[1:]
		if !s.sendCounted(next) {
			return true
		}
	}
	for {
		if s.credit.Load() <= 0 {
			return true
		}
		buffer := s.take()
		if buffer == nil {
			return false
		}
		if !s.sendCounted(s.number(buffer)) {
			return true
		}
	}
}

// number makes a counted frame of operations.
func (s *Session) number(buffer []byte) sentFrame {
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	s.seqOut++
	frame := sentFrame{s.seqOut, appendTail(buffer, s.seqOut, s.seqIn.Load())}
	s.unacked = append(s.unacked, frame)
	return frame
}

func appendTail(frame []byte, seq, ack uint64) []byte {
	if seq > 0 {
		frame = protowire.AppendVarint(append(frame, 1<<3), seq)
	}
	if ack > 0 {
		frame = protowire.AppendVarint(append(frame, 2<<3), ack)
	}
	return frame
}

// take takes the operations of one frame off the queue; nil if there are none.
func (s *Session) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ops == 0 {
		return nil
	}
	was := s.queued()
	var frame []byte
	if was <= min(frameBytesAim, s.frameBytes-wire.FrameTail) && s.ops <= wire.MaxOps {
		if s.head == prefixBytes {
			frame = s.queue
		} else {
			frame = append(s.buffer(), s.queue[s.head:]...)
		}
		s.queue, s.ops, s.head = s.buffer(), 0, prefixBytes
	} else {
		end, ops := s.cut()
		frame = make([]byte, prefixBytes, prefixBytes+end-s.head+wire.FrameTail)
		frame = append(frame, s.queue[s.head:end]...)
		s.head = end
		s.ops -= ops
		if s.ops == 0 {
			s.queue, s.head = s.buffer(), prefixBytes
		} else if s.head > len(s.queue)/2 {
			// Seldom enough that moving what is left costs no more than posting it did.
			s.queue = append(s.queue[:prefixBytes], s.queue[s.head:]...)
			s.head = prefixBytes
		}
	}
	if was >= queuedBytesMax {
		s.room.Broadcast()
	}
	return frame
}

// queued is how many bytes of operations wait. mu is held.
func (s *Session) queued() int { return len(s.queue) - s.head }

// cut finds where a frame may end: behind as many operations as fit, and at least one.
func (s *Session) cut() (end, ops int) {
	limit := min(frameBytesAim, s.frameBytes-wire.FrameTail)
	end = s.head
	for end < len(s.queue) && ops < wire.MaxOps {
		// Post wrote these bytes, so they are well-formed.
		_, n := protowire.ConsumeBytes(s.queue[end+1:])
		next := end + 1 + n
		if ops > 0 && next-s.head > limit {
			break
		}
		end = next
		ops++
	}
	return end, ops
}

func (s *Session) buffer() []byte {
	if n := len(s.spare); n > 0 {
		buffer := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return buffer
	}
	return make([]byte, prefixBytes, batchBytes+4096)
}

func (s *Session) sendCounted(frame sentFrame) bool {
	s.credit.Add(-int64(len(frame.body) - prefixBytes))
	return s.send(frame.body)
}

func (s *Session) sendControl() bool {
	s.mu.Lock()
	control := s.control
	s.control = nil
	s.mu.Unlock()
	if control == nil {
		return true
	}
	return s.send(appendTail(control, 0, s.seqIn.Load()))
}

// postControl queues an operation for a frame without a number.
func (s *Session) postControl(op protowire.Number, msg proto.Message) {
	body, err := proto.Marshal(msg)
	if err != nil {
		return // Messages of numbers alone can always be encoded.
	}
	s.mu.Lock()
	if s.control == nil {
		s.control = make([]byte, prefixBytes, 32)
	}
	s.control = append(s.control, wire.OpsField)
	s.control = protowire.AppendBytes(s.control, wire.AppendOp(nil, op, body))
	s.mu.Unlock()
	s.wake()
}

func (s *Session) send(frame []byte) bool {
	if err := s.carrier().Send(frame); err != nil {
		// The reader notices, and resumes the session.
		s.broken = true
		s.carrier().Close()
		return false
	}
	return true
}

// Operation is an operation that was sent and is not acknowledged: its number in ClientOp and its message; 0 if it is not kept any more. For handlers of `Refused`.
func (s *Session) Operation(seq uint64, index uint32) (protowire.Number, []byte) {
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	for _, sent := range s.unacked {
		if sent.seq != seq {
			continue
		}
		var frame wire.Frame
		if frame.Parse(sent.body[prefixBytes:]) != nil || uint64(index) >= uint64(len(frame.Ops)) {
			return 0, nil
		}
		op := frame.Ops[index]
		num, _, n := protowire.ConsumeTag(op)
		msg, _ := protowire.ConsumeBytes(op[n:])
		return num, msg
	}
	return 0, nil
}

// Settle waits until the node has all that was posted, over another connection if this one is lost, but no longer than limit. It is for a process that ends
// by itself and would take with it what a lost connection swallowed.
func (s *Session) Settle(limit time.Duration) {
	until := time.Now().Add(limit)
	for pause := time.Millisecond; !s.settled() && time.Now().Before(until); pause *= 2 {
		// A node with nothing to say acknowledges nothing unless it is asked.
		s.postControl(opPing, &pb.Ping{})
		s.Flush()
		select {
		case <-s.done:
			return
		case <-time.After(min(pause, time.Until(until))):
		}
	}
}

func (s *Session) settled() bool {
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ops == 0 && len(s.unacked) == 0
}

// Close says goodbye and ends the session. It waits a moment for what is queued to be sent.
func (s *Session) Close() {
	if s.closing.Swap(true) {
		<-s.done
		return
	}
	s.lastWords(func() {
		if !s.sendReady() {
			s.goodbye(nil)
		}
	})
	s.end(endError(codeConnectionLost, "the session was closed"))
}

// lastWords has send say something once the writer is done with what it is at. Where the node takes nothing, which is found out in a moment, the end of the
// connection has to do.
func (s *Session) lastWords(send func()) {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		s.sendMu.Lock()
		defer s.sendMu.Unlock()
		send()
	}()
	select {
	case <-finished:
	case <-s.done:
	case <-time.After(goodbyeTimeout):
	}
}

// goodbye sends the last frame. `sendMu` is held.
func (s *Session) goodbye(failure *pb.Failure) {
	body, err := proto.Marshal(&pb.Goodbye{Failure: failure})
	if err != nil {
		return
	}
	frame := append(make([]byte, prefixBytes, 64), wire.OpsField)
	frame = protowire.AppendBytes(frame, wire.AppendOp(nil, opGoodbye, body))
	s.send(appendTail(frame, 0, s.seqIn.Load()))
}

func (s *Session) end(err *EndError) {
	s.endOnce.Do(func() {
		s.ended.Store(err)
		s.closing.Store(true)
		s.mu.Lock()
		s.room.Broadcast()
		s.queue, s.head, s.ops, s.control = s.queue[:prefixBytes], prefixBytes, 0, nil
		s.linger.Stop()
		s.mu.Unlock()
		close(s.done)
		// Not under `sendMu`: to close is what ends a send that waits.
		s.carrier().Close()
		s.config.Handler.Ended(err)
	})
}
