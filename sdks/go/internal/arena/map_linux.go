package arena

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Supported reports whether this system can map what nodes send.
const Supported = true

func mapFile(file *os.File, size uint64, writable bool) ([]byte, error) {
	fd := int(file.Fd())
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, err
	}
	// Without this seal the node could take the memory away under a reader, which ends the process.
	if seals&unix.F_SEAL_SHRINK == 0 {
		return nil, errors.New("it is not sealed against shrinking")
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, err
	}
	if size == 0 || stat.Size < 0 || uint64(stat.Size) < size {
		return nil, errors.New("it is shorter than announced")
	}
	protection := unix.PROT_READ
	if writable {
		protection |= unix.PROT_WRITE
	}
	return unix.Mmap(fd, 0, int(size), protection, unix.MAP_SHARED|unix.MAP_NORESERVE)
}
