package thornback

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/arena"
	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/session"
	"thornback.dev/go/internal/wire"
)

// Numbers of operations: fields of ClientOp and ServerOp.
const (
	opDeclare     = 10
	opSubmit      = 11
	opCall        = 12
	opCreateActor = 13
	opCancel      = 14
	opKill        = 15
	opPut         = 16
	opCreate      = 17
	opWrite       = 18
	opSeal        = 19
	opAbort       = 20
	opWatch       = 21
	opFetch       = 22
	opRelease     = 23
	opRefs        = 24
	opRequest     = 25
	opConsumed    = 26
	opDone        = 30
	opYield       = 31
	opBlocked     = 32
	opUnblocked   = 33
	opReturned    = 34
	opActorExit   = 36

	opRefused    = 6
	opRun        = 11
	opInterrupt  = 12
	opRecall     = 13
	opResume     = 14
	opCompletion = 20
	opStreamEnd  = 21
	opCreated    = 22
	opLocated    = 23
	opChunk      = 24
	opArena      = 25
	opReply      = 26
	opLog        = 27
	opNotice     = 28
)

const (
	// Ids in one operation that changes counts.
	idsPerOp = 4096
	// Dropped refs gather for so long while nothing else is sent.
	dropDelay = 100 * time.Millisecond
)

// link is one session and what this process knows through it: objects, streams, stored bytes, declarations, replies. It is shared by a Client and all refs
// and handles that came of it.
//
// Lock order: the session's writing lock, then mu, then the session's queue. Nothing waits and nothing is sent under mu; operations are only posted.
type link struct {
	sess        *session.Session
	inlineBytes int
	arenas      arena.Set
	ids         *idMaker
	onNotice    func(*Error)
	logs        io.Writer
	// What a worker's session is for; nil in a driver.
	worker *inbox

	mu       sync.Mutex
	slots    slots
	streams  map[ID]*streamState
	fetches  map[ID][]*fetch
	creates  map[ID]*creation
	replies  map[uint64]chan *pb.Reply
	cancels  map[ID]*Error
	declared map[string]uint32
	// Why there is nothing more to come.
	over *Error

	gather   sync.Mutex
	dropped  []ID
	released []ID

	requests atomic.Uint64
}

func newLink() *link {
	ids := newIDMaker()
	return &link{
		ids:      ids,
		slots:    newSlots(ids.salt),
		streams:  map[ID]*streamState{},
		fetches:  map[ID][]*fetch{},
		creates:  map[ID]*creation{},
		replies:  map[uint64]chan *pb.Reply{},
		cancels:  map[ID]*Error{},
		declared: map[string]uint32{},
	}
}

// open makes the session. Operations come once start was called.
func (l *link) open(ctx context.Context, dial func(context.Context) (session.Carrier, error), hello *pb.Hello) error {
	sess, err := session.Open(ctx, session.Config{Dial: dial, Hello: hello, Handler: l})
	if err != nil {
		if own, ok := err.(*session.EndError); ok {
			return sessionError(own)
		}
		e := failed(CodeConnectionLost, "no session with the node: %v", err)
		e.wrapped = err
		return e
	}
	l.sess = sess
	l.inlineBytes = int(min(sess.Welcome().GetLimits().GetInlineBytes(), session.DefaultFrameBytes/2))
	return nil
}

// Handle takes what the node says (session.Handler).
func (l *link) Handle(op protowire.Number, msg []byte) error {
	switch op {
	case opCompletion:
		return l.handleCompletion(msg)
	case opRun:
		if l.worker != nil {
			return l.worker.handleRun(msg)
		}
		return nil
	case opArena:
		return l.handleArena(msg)
	case opChunk:
		return l.handleChunk(msg)
	case opDeclare, opInterrupt, opRecall, opResume:
		if l.worker != nil {
			return l.worker.handle(op, msg)
		}
		return nil
	}
	message := serverMessage(op)
	if message == nil {
		return nil // Of a later version (SESSION-060).
	}
	if err := proto.Unmarshal(msg, message); err != nil {
		return err
	}
	switch m := message.(type) {
	case *pb.StreamEnd:
		l.handleStreamEnd(m)
	case *pb.Created:
		l.handleCreated(m)
	case *pb.Located:
		l.handleLocated(m)
	case *pb.Reply:
		l.handleReply(m)
	case *pb.Refused:
		l.handleRefused(m)
	case *pb.Log:
		l.handleLog(m)
	case *pb.Notice:
		l.notice(errorOf(m.GetFailure()))
	}
	return nil
}

func serverMessage(op protowire.Number) proto.Message {
	switch op {
	case opStreamEnd:
		return &pb.StreamEnd{}
	case opCreated:
		return &pb.Created{}
	case opLocated:
		return &pb.Located{}
	case opReply:
		return &pb.Reply{}
	case opRefused:
		return &pb.Refused{}
	case opLog:
		return &pb.Log{}
	case opNotice:
		return &pb.Notice{}
	}
	return nil
}

func (l *link) notice(e *Error) {
	if e != nil && l.onNotice != nil {
		l.onNotice(e)
	}
}

func (l *link) handleLog(log *pb.Log) {
	if l.logs == nil {
		return
	}
	var text []byte
	for _, line := range log.GetLines() {
		text = fmt.Appendf(text, "(%s) %s\n", log.GetSource(), line)
	}
	if n := log.GetRepeatedCount(); n > 0 {
		text = fmt.Appendf(text, "(%s) [repeated %dx across workers]\n", log.GetSource(), n)
	}
	// A terminal that is gone is no reason to stop.
	_, _ = l.logs.Write(text)
}

// Gather posts counts and pins that changed since the last time (session.Handler).
func (l *link) Gather() {
	l.gather.Lock()
	dropped, released := l.dropped, l.released
	l.dropped, l.released = nil, nil
	l.gather.Unlock()
	l.postIDs(opRefs, 2, dropped)
	l.postIDs(opRelease, 1, released)
}

// postIDs posts operations that hold nothing but ids, in one field.
func (l *link) postIDs(op, field protowire.Number, ids []ID) {
	for len(ids) > 0 {
		n := min(len(ids), idsPerOp)
		msg := make([]byte, 0, n*(2+wire.IDBytes))
		for _, id := range ids[:n] {
			msg = wire.AppendID(msg, field, id)
		}
		l.post(wire.AppendOp(make([]byte, 0, len(msg)+8), op, msg))
		ids = ids[n:]
	}
}

// dropLater gives a count back when something is sent, at the latest after dropDelay.
func (l *link) dropLater(id ID) {
	l.gather.Lock()
	l.dropped = append(l.dropped, id)
	first := len(l.dropped) == 1
	l.gather.Unlock()
	if first {
		time.AfterFunc(dropDelay, l.sess.Flush)
	}
}

// releaseLater is the same for a pin.
func (l *link) releaseLater(id ID) {
	l.gather.Lock()
	l.released = append(l.released, id)
	first := len(l.released) == 1
	l.gather.Unlock()
	if first {
		time.AfterFunc(dropDelay, l.sess.Flush)
	}
}

// post queues an operation that surely fits a frame.
func (l *link) post(op []byte) {
	if err := l.sess.Post(op); err != nil {
		l.notice(invalid("%v", err))
	}
}

func (l *link) postMessage(op protowire.Number, msg proto.Message) error {
	if err := l.sess.PostMessage(op, msg); err != nil {
		return failed(CodeInvalidArgument, "%v", err)
	}
	return nil
}

// Ended fails what nobody will answer any more (session.Handler).
func (l *link) Ended(end *session.EndError) {
	e := sessionError(end)
	l.mu.Lock()
	l.over = e
	for s := range l.slots.all() {
		if s.isPending() {
			l.fail(s, e)
		}
	}
	for _, s := range l.streams {
		s.end(e)
	}
	for _, waiting := range l.fetches {
		for _, f := range waiting {
			f.finish(nil, e)
		}
	}
	for _, c := range l.creates {
		c.finish(wire.Location{}, e)
	}
	for _, reply := range l.replies {
		close(reply)
	}
	clear(l.fetches)
	clear(l.creates)
	clear(l.replies)
	l.mu.Unlock()
	if l.worker != nil {
		l.worker.end(e)
	}
}

// request makes a control request and waits for its reply; a failure in it is the error.
func (l *link) request(ctx context.Context, request *pb.Request) (*pb.Reply, error) {
	request.Number = l.requests.Add(1)
	reply := make(chan *pb.Reply, 1)
	l.mu.Lock()
	if l.over != nil {
		defer l.mu.Unlock()
		return nil, l.over
	}
	l.replies[request.Number] = reply
	l.mu.Unlock()
	forget := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.replies, request.Number)
	}
	if err := l.postMessage(opRequest, request); err != nil {
		forget()
		return nil, err
	}
	l.sess.Flush()
	select {
	case r, ok := <-reply:
		if !ok {
			return nil, l.ended()
		}
		if f := r.GetFailure(); f != nil {
			return nil, errorOf(f)
		}
		return r, nil
	case <-ctx.Done():
		forget()
		return nil, waited(ctx, "the node did not answer a request in time")
	}
}

func (l *link) ended() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over == nil {
		return nil
	}
	return l.over
}

func (l *link) handleReply(reply *pb.Reply) {
	l.mu.Lock()
	waiting := l.replies[reply.GetNumber()]
	delete(l.replies, reply.GetNumber())
	l.mu.Unlock()
	if waiting != nil {
		waiting <- reply
	}
}

// handleRefused fails what an operation would have made.
func (l *link) handleRefused(refused *pb.Refused) {
	e := errorOf(refused.GetFailure())
	if made, ok := wire.ParseID(refused.GetId()); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch s := l.slots.get(made); {
		case s != nil:
			l.fail(s, e)
		case l.failOutputs(made, e):
		default:
			go l.notice(e)
		}
		return
	}
	op, msg := l.sess.Operation(refused.GetSeq(), refused.GetIndex())
	id, _ := firstID(msg)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch op {
	case opCreate:
		if c := l.creates[id]; c != nil {
			delete(l.creates, id)
			c.finish(wire.Location{}, e)
		}
	case opFetch:
		l.located(id, nil, e)
	case opWatch:
		var watch pb.Watch
		if proto.Unmarshal(msg, &watch) == nil {
			for _, object := range watch.GetObjects() {
				id, _ := wire.ParseID(object)
				if s := l.slots.get(id); s != nil {
					l.fail(s, e)
				}
			}
		}
	case opCancel:
		l.cancels[id] = e
	case opRequest:
		var request pb.Request
		if proto.Unmarshal(msg, &request) == nil {
			if waiting := l.replies[request.GetNumber()]; waiting != nil {
				delete(l.replies, request.GetNumber())
				waiting <- &pb.Reply{Reply: &pb.Reply_Failure{Failure: refused.GetFailure()}}
			}
		}
	default:
		if e != nil {
			go l.notice(e)
		}
	}
}

// failOutputs fails whatever a task would have made, and says whether that was anything. mu is held.
func (l *link) failOutputs(task ID, e *Error) bool {
	stream := l.streams[task.WithIndex(0)]
	if stream != nil {
		stream.end(e)
	}
	for index := uint32(1); ; index++ {
		s := l.slots.get(task.WithIndex(index))
		if s == nil {
			return stream != nil || index > 1
		}
		l.fail(s, e)
	}
}

// firstID is field 1 of a message that begins with an id.
func firstID(msg []byte) (ID, bool) {
	num, typ, n := protowire.ConsumeTag(msg)
	if n < 0 || num != 1 || typ != protowire.BytesType {
		return ID{}, false
	}
	b, m := protowire.ConsumeBytes(msg[n:])
	if m < 0 {
		return ID{}, false
	}
	return wire.ParseID(b)
}

// idMaker makes ids: a random salt, and a counter that is never used twice with it (ID-002).
type idMaker struct {
	mu      sync.Mutex
	salt    [8]byte
	counter uint32
}

func newIDMaker() *idMaker {
	m := &idMaker{}
	// Never fails: the program ends where there is no randomness.
	_, _ = rand.Read(m.salt[:])
	return m
}

func (m *idMaker) next() ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counter++
	if m.counter == 0 {
		_, _ = rand.Read(m.salt[:])
		m.counter = 1
	}
	var id ID
	copy(id[:], m.salt[:])
	binary.BigEndian.PutUint32(id[8:], m.counter)
	return id
}
