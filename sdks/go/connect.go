package thornback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"thornback.dev/go/internal/session"
)

// What a node tells those whom it starts (protocol/spec/worker.md).
const (
	envAddress   = "THORNBACK_ADDRESS"
	envTokenFile = "THORNBACK_TOKEN_FILE"
	envPool      = "THORNBACK_POOL"
	envLaunch    = "THORNBACK_LAUNCH"
	envBinary    = "THORNBACK_BINARY"
)

const unixScheme = "unix:"

func isUnix(address string) bool { return strings.HasPrefix(address, unixScheme) }

// dialer makes connections to the node at an address.
func dialer(address, token string) (func(context.Context) (session.Carrier, error), error) {
	if path, ok := strings.CutPrefix(address, unixScheme); ok {
		path = strings.TrimPrefix(path, "//")
		if path == "" {
			return nil, invalid("the address %q names no socket; wanted unix:PATH", address)
		}
		return func(context.Context) (session.Carrier, error) {
			carrier, err := session.DialUnix(path)
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
				// A node removes its socket when it ends, and refuses once it was killed: none comes back to this path with this session.
				return nil, fmt.Errorf("%w: %w", session.ErrGone, err)
			}
			return carrier, err
		}, nil
	}
	target := strings.TrimPrefix(address, "http://")
	if _, _, err := net.SplitHostPort(target); err != nil {
		return nil, invalid("the address %q is neither unix:PATH nor HOST:PORT", address)
	}
	return func(ctx context.Context) (session.Carrier, error) { return session.DialGRPC(ctx, target, token) }, nil
}

func (o *connectOptions) readToken(address string) (string, error) {
	switch {
	case o.token != nil:
		return *o.token, nil
	case isUnix(address) && o.tokenFile == "":
		return "", nil // The socket's peer is checked by its credentials.
	}
	return readToken(o.tokenFile)
}

// readToken reads the token from a file, or from the one that the environment names; none at all is no token.
func readToken(path string) (string, error) {
	if path == "" {
		path = os.Getenv(envTokenFile)
	}
	if path == "" {
		return "", nil
	}
	token, err := os.ReadFile(path)
	if err != nil {
		e := failed(CodeUnauthenticated, "the token file cannot be read: %v", err)
		e.wrapped = err
		return "", e
	}
	return strings.TrimSpace(string(token)), nil
}
