// Package arena maps the shared memory of a node: files that the node made, sealed against shrinking and passed over a
// Unix socket.
//
// A mapping stays until the process ends. Slices into it carry nothing that the garbage collector could follow, and the
// number of arenas is the node's and small, so to keep the address space is cheaper than to prove that nobody reads.
package arena

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// Set is the arenas that a node announced to one session. It may be used from several goroutines.
type Set struct {
	mu       sync.RWMutex
	readable map[uint32][]byte
	writable map[uint32][]byte
}

// Add maps an arena and closes its descriptor. One that is known already is left as it is.
func (s *Set) Add(number uint32, size uint64, writable bool, descriptor *os.File) error {
	defer descriptor.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	known := &s.readable
	if writable {
		known = &s.writable
	}
	if _, ok := (*known)[number]; ok {
		return nil
	}
	memory, err := mapFile(descriptor, size, writable)
	if err != nil {
		return fmt.Errorf("the node sent shared memory that cannot be used: %w", err)
	}
	if *known == nil {
		*known = map[uint32][]byte{}
	}
	(*known)[number] = memory
	return nil
}

// Read is the bytes of a pinned object. To write to them ends the process.
func (s *Set) Read(number uint32, offset, size uint64) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return cut(s.readable, number, offset, size)
}

// Write is the room of an object that this session fills.
func (s *Set) Write(number uint32, offset, size uint64) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return cut(s.writable, number, offset, size)
}

var errUnknown = errors.New("the node named an arena that it has not announced")

func cut(arenas map[uint32][]byte, number uint32, offset, size uint64) ([]byte, error) {
	memory, ok := arenas[number]
	if !ok {
		return nil, errUnknown
	}
	if size == 0 || offset > uint64(len(memory)) || size > uint64(len(memory))-offset {
		return nil, fmt.Errorf("the node named a place (%d+%d) outside its arena of %d bytes", offset, size, len(memory))
	}
	return memory[offset : offset+size : offset+size], nil
}
