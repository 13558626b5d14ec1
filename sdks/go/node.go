package thornback

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

const (
	// Between looks at the file in which a node says where it listens.
	portsPoll = 2 * time.Millisecond
	// How long a node may take to listen, on a machine that is busy with other things.
	nodeStartTimeout = 30 * time.Second
)

type nodeOptions struct {
	binary string
	args   []string
}

// Binary is the server program that Local starts.
func Binary(path string) ConnectOption { return func(o *connectOptions) { o.node.binary = path } }

// NodeCPUs is how many CPUs the node that Local starts has. The default is those of the machine.
func NodeCPUs(n float64) ConnectOption {
	return NodeArgs("--num-cpus", strconv.FormatFloat(n, 'f', -1, 64))
}

// NodeGPUs is how many GPUs the node that Local starts has. The default is 0.
func NodeGPUs(n float64) ConnectOption {
	return NodeArgs("--num-gpus", strconv.FormatFloat(n, 'f', -1, 64))
}

// NodeStoreBytes is how many bytes of shared memory the node that Local starts has for objects. The default is 30 % of the machine's memory.
func NodeStoreBytes(n int64) ConnectOption {
	return NodeArgs("--store-bytes", strconv.FormatInt(n, 10))
}

// NodeArgs gives further arguments to the server that Local starts; see `thornback dev --help`.
func NodeArgs(args ...string) ConnectOption {
	return func(o *connectOptions) { o.node.args = append(o.node.args, args...) }
}

// localNode is a server process. It ends when its standard input does, so it cannot outlive this program.
type localNode struct {
	address string
	stop    func()
}

func startNode(ctx context.Context, o *nodeOptions) (*localNode, error) {
	binary := o.binary
	if binary == "" {
		binary = os.Getenv(envBinary)
	}
	if binary == "" {
		binary = "thornback"
	}
	dir, err := os.MkdirTemp("", "thornback-ports-")
	if err != nil {
		return nil, failed(CodeInternal, "no directory for the node's answer: %v", err)
	}
	defer os.RemoveAll(dir)
	ports := filepath.Join(dir, "ports.json")
	command := exec.Command(binary, append([]string{"dev", "--ports-file", ports, "--exit-with-stdin"}, o.args...)...)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		e := failed(CodeConnectionLost, "the server %s cannot be started (%v); put `thornback` on the PATH, or name it in %s", binary, err, envBinary)
		e.wrapped = err
		return nil, e
	}
	exited := make(chan error, 1)
	go func() { exited <- command.Wait() }()
	node := &localNode{stop: once(func() { stopNode(stdin, exited) })}
	timeout := time.After(nodeStartTimeout)
	tick := time.NewTicker(portsPoll)
	defer tick.Stop()
	for {
		address, err := readPorts(ports)
		if err != nil {
			node.stop()
			return nil, err
		}
		if address != "" {
			node.address = address
			return node, nil
		}
		select {
		case <-tick.C:
		case err := <-exited:
			return nil, failed(CodeConnectionLost, "the server %s ended before it listened (%v); its last words are on standard error", binary, err)
		case <-timeout:
			node.stop()
			return nil, failed(CodeConnectionLost, "the server %s did not listen within %v", binary, nodeStartTimeout)
		case <-ctx.Done():
			node.stop()
			return nil, waited(ctx, "the server %s did not listen in time", binary)
		}
	}
}

// stopNode ends the server and waits until it, and with it its workers, are gone.
func stopNode(stdin io.Closer, exited <-chan error) {
	stdin.Close()
	<-exited //nolint:errcheck // how it ended is nothing to anybody once it has
}

// readPorts reads where the node listens, once it has said so. It writes the file in one step.
func readPorts(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", failed(CodeInternal, "the node's answer cannot be read: %v", err)
	}
	var ports struct {
		Unix string `json:"unix"`
	}
	if err := json.Unmarshal(text, &ports); err != nil || ports.Unix == "" {
		return "", failed(CodeInternal, "the server did not say where its socket is (%v); is %s a thornback?", err, envBinary)
	}
	return unixScheme + ports.Unix, nil
}
