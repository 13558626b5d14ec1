package fakenode

import (
	"errors"
	"os"
	"sync"

	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/pb"
)

// pipe is a connection inside the process: the carrier of a session on one side, messages on the other.
type pipe struct {
	toNode   chan []byte
	toClient *mailbox
	closed   chan struct{}
	once     sync.Once
}

var errClosed = errors.New("the connection inside the process was closed")

func newPipe() *pipe {
	return &pipe{toNode: make(chan []byte, 16), toClient: newMailbox(), closed: make(chan struct{})}
}

// Receive gives the frames that the node has sent (session.Carrier).
func (p *pipe) Receive(take func(body []byte) error) error {
	body, ok := p.toClient.next(p.closed)
	if !ok {
		return errClosed
	}
	return take(body)
}

// Send gives a frame to the node (session.Carrier).
func (p *pipe) Send(frame []byte) error {
	const prefix = 4
	select {
	case p.toNode <- append([]byte(nil), frame[prefix:]...):
		return nil
	case <-p.closed:
		return errClosed
	}
}

func (p *pipe) Descriptor() *os.File { return nil }
func (p *pipe) Limit(uint64)         {}
func (p *pipe) SharedMemory() bool   { return false }
func (p *pipe) Close()               { p.once.Do(func() { close(p.closed) }) }

// post sends a frame to the client. It never waits.
func (p *pipe) post(frame *pb.ServerFrame) {
	body, err := proto.Marshal(frame)
	if err != nil {
		panic(err) // The node's own messages can be encoded.
	}
	p.toClient.put(body)
}

// mailbox is a queue without a bound: what is in it is bounded by what the test submits.
type mailbox struct {
	mu    sync.Mutex
	queue [][]byte
	ready chan struct{}
}

func newMailbox() *mailbox { return &mailbox{ready: make(chan struct{}, 1)} }

func (m *mailbox) put(body []byte) {
	m.mu.Lock()
	m.queue = append(m.queue, body)
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// next waits for a frame. What was put before the end is still given.
func (m *mailbox) next(closed <-chan struct{}) ([]byte, bool) {
	for {
		m.mu.Lock()
		if len(m.queue) > 0 {
			body := m.queue[0]
			m.queue = m.queue[1:]
			m.mu.Unlock()
			return body, true
		}
		m.mu.Unlock()
		select {
		case <-m.ready:
		case <-closed:
			return nil, false
		}
	}
}
