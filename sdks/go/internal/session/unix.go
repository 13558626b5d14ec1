package session

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
)

const (
	readBytes = 256 << 10
	// Room for as many descriptors as Linux passes with one message (SCM_MAX_FD, 253).
	ancillaryBytes = 16 + 4*256
)

// unixCarrier is a Unix socket: a length of 4 bytes, big-endian, before each frame; descriptors beside it.
type unixCarrier struct {
	conn  *net.UnixConn
	limit uint64

	buf        []byte
	start, end int
	ancillary  []byte
	files      []*os.File
	close      sync.Once
}

// DialUnix connects to a node's socket.
func DialUnix(path string) (Carrier, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	return NewUnix(conn), nil
}

// NewUnix makes a carrier of a connected socket.
func NewUnix(conn *net.UnixConn) Carrier {
	return &unixCarrier{
		conn:      conn,
		limit:     DefaultFrameBytes,
		buf:       make([]byte, readBytes),
		ancillary: make([]byte, ancillaryBytes),
	}
}

func (c *unixCarrier) Limit(frameBytes uint64) { c.limit = frameBytes }
func (c *unixCarrier) SharedMemory() bool      { return true }

func (c *unixCarrier) Close() {
	c.close.Do(func() { c.conn.Close() })
}

func (c *unixCarrier) Send(frame []byte) error {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-prefixBytes))
	_, err := c.conn.Write(frame)
	return err
}

func (c *unixCarrier) Descriptor() *os.File {
	if len(c.files) == 0 {
		return nil
	}
	file := c.files[0]
	c.files = c.files[1:]
	return file
}

func (c *unixCarrier) Receive(take func(body []byte) error) error {
	if err := c.cut(take); err != nil {
		return err
	}
	c.makeRoom()
	n, oobn, flags, _, err := c.conn.ReadMsgUnix(c.buf[c.end:], c.ancillary)
	if oobn > 0 {
		if ferr := c.takeFiles(c.ancillary[:oobn]); ferr != nil {
			return ferr
		}
	}
	if err != nil {
		c.dropFiles()
		return err
	}
	if flags&syscall.MSG_CTRUNC != 0 {
		return errors.New("descriptors of the node were cut off; is the limit of open files reached?")
	}
	c.end += n
	return c.cut(take)
}

// cut gives whole frames to take, and keeps the rest.
func (c *unixCarrier) cut(take func(body []byte) error) error {
	for c.end-c.start >= prefixBytes {
		length := uint64(binary.BigEndian.Uint32(c.buf[c.start:]))
		if length > c.limit {
			return errFrameTooLarge
		}
		next := c.start + prefixBytes + int(length)
		if next > c.end {
			return nil
		}
		body := c.buf[c.start+prefixBytes : next]
		c.start = next
		if err := take(body); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom moves what is left to the front, and doubles the buffer if it is full: a frame costs memory as it comes, not as it is announced.
func (c *unixCarrier) makeRoom() {
	if c.start > 0 {
		c.end = copy(c.buf, c.buf[c.start:c.end])
		c.start = 0
		if len(c.buf) > readBytes && c.end < readBytes/2 {
			c.buf = append(make([]byte, 0, readBytes), c.buf[:c.end]...)[:readBytes]
		}
	}
	if c.end == len(c.buf) {
		grown := make([]byte, 2*len(c.buf))
		copy(grown, c.buf[:c.end])
		c.buf = grown
	}
}

func (c *unixCarrier) takeFiles(ancillary []byte) error {
	messages, err := syscall.ParseSocketControlMessage(ancillary)
	if err != nil {
		return err
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			continue // Something else than descriptors.
		}
		for _, fd := range fds {
			c.files = append(c.files, os.NewFile(uintptr(fd), "arena"))
		}
	}
	return nil
}

func (c *unixCarrier) dropFiles() {
	for file := c.Descriptor(); file != nil; file = c.Descriptor() {
		file.Close()
	}
}
