//go:build !linux

package arena

import (
	"errors"
	"os"
)

// Supported reports whether this system can map what nodes send.
const Supported = false

func mapFile(*os.File, uint64, bool) ([]byte, error) {
	return nil, errors.New("shared memory is used on Linux only")
}
