package session

import (
	"errors"
	"os"
)

// Carrier is one connection: whole frames in and out, nothing about what they mean.
//
// One goroutine receives and one sends, at the same time.
type Carrier interface {
	// Receive waits for bytes and gives each frame that they complete to take, in order. The body is valid only during the call. An error of
	// take ends it. Any other error means that the connection is gone.
	Receive(take func(body []byte) error) error
	// Send sends a frame. Its first prefixBytes are for the carrier's own use; the body follows them.
	Send(frame []byte) error
	// Descriptor takes the oldest file that came with the frames; nil if there is none.
	Descriptor() *os.File
	// Limit sets the length above which frames are refused.
	Limit(frameBytes uint64)
	// SharedMemory reports whether the node can pass descriptors.
	SharedMemory() bool
	// Close ends Receive and Send.
	Close()
}

// prefixBytes is the room for a frame's length in front of its body.
const prefixBytes = 4

// errFrameTooLarge is returned by Receive for a length above the limit.
var errFrameTooLarge = errors.New("the node announced a frame that is larger than agreed")
