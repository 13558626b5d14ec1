package thornback

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"thornback.dev/go/internal/arena"
	"thornback.dev/go/internal/pb"
)

const (
	// Version of this SDK.
	Version = "0.1.0"
	sdkName = "thornback-go/" + Version
)

// Client is a driver's session with a node. It is safe for concurrent use, and everything made through it ends with it: refs, actors without
// Detached, placement groups.
type Client struct {
	link *link
	// A worker's, which ends with the worker.
	borrowed bool
	stop     func()
}

// ConnectOption changes how a client connects, or the node that it starts.
type ConnectOption func(*connectOptions)

type connectOptions struct {
	namespace string
	jobName   string
	token     *string
	tokenFile string
	logs      io.Writer
	onNotice  func(*Error)
	node      nodeOptions
}

// Namespace is where named actors are made and looked up. By default the server chooses.
func Namespace(name string) ConnectOption { return func(o *connectOptions) { o.namespace = name } }

// JobName is what people see for this program's work. The default is the program's name.
func JobName(name string) ConnectOption { return func(o *connectOptions) { o.jobName = name } }

// Token is what to show to a node that is not reached by its Unix socket.
func Token(token string) ConnectOption { return func(o *connectOptions) { o.token = &token } }

// TokenFile is the file with the token. The default is the one that THORNBACK_TOKEN_FILE names.
func TokenFile(path string) ConnectOption { return func(o *connectOptions) { o.tokenFile = path } }

// Logs is where the lines that workers print are written, each with where it comes from; nil for nowhere. The default is os.Stderr.
func Logs(w io.Writer) ConnectOption { return func(o *connectOptions) { o.logs = w } }

// OnNotice is told of warnings of the node, such as a task that no node has the resources for. It is called from the session's goroutine and must not wait. By
// default they are printed on os.Stderr.
func OnNotice(handle func(*Error)) ConnectOption {
	return func(o *connectOptions) { o.onNotice = handle }
}

// Connect opens a session with the node that THORNBACK_ADDRESS names; where it is not set, it starts a node of its own, as Local does.
func Connect(ctx context.Context, options ...ConnectOption) (*Client, error) {
	if address := os.Getenv(envAddress); address != "" {
		return Dial(ctx, address, options...)
	}
	return Local(ctx, options...)
}

// Dial opens a session with the node at an address: "unix:PATH", or "HOST:PORT" with the node's token.
//
// The error has CodeConnectionLost if no node answers, or the code with which it refuses.
func Dial(ctx context.Context, address string, options ...ConnectOption) (*Client, error) {
	o := gatherConnect(options)
	return o.dial(ctx, address)
}

// Local starts a node that ends with this client or program, whichever is first, and opens a session with it. The program is the one that Binary or
// THORNBACK_BINARY names, else `thornback` on the PATH.
func Local(ctx context.Context, options ...ConnectOption) (*Client, error) {
	o := gatherConnect(options)
	node, err := startNode(ctx, &o.node)
	if err != nil {
		return nil, err
	}
	client, err := o.dial(ctx, node.address)
	if err != nil {
		node.stop()
		return nil, err
	}
	client.stop = node.stop
	return client, nil
}

func gatherConnect(options []ConnectOption) *connectOptions {
	o := &connectOptions{logs: os.Stderr, onNotice: printNotice}
	for _, option := range options {
		option(o)
	}
	return o
}

func printNotice(notice *Error) { fmt.Fprintf(os.Stderr, "thornback: %s\n", notice.Message) }

func (o *connectOptions) dial(ctx context.Context, address string) (*Client, error) {
	token, err := o.readToken(address)
	if err != nil {
		return nil, err
	}
	dial, err := dialer(address, token)
	if err != nil {
		return nil, err
	}
	job := o.jobName
	if job == "" {
		job = filepath.Base(os.Args[0])
	}
	hello := newHello(pb.Role_ROLE_DRIVER, address, token)
	hello.Namespace, hello.JobName, hello.WantLogs = o.namespace, job, o.logs != nil
	l := newLink()
	l.logs, l.onNotice = o.logs, o.onNotice
	if err := l.open(ctx, dial, hello); err != nil {
		return nil, err
	}
	l.sess.Start()
	return &Client{link: l, stop: func() {}}, nil
}

func newHello(role pb.Role, address, token string) *pb.Hello {
	features := []string{"streams", "actors", "logs"}
	if isUnix(address) && arena.Supported {
		features = append(features, "shared-memory")
	}
	return &pb.Hello{
		Role: role, Features: features, Token: token, Language: language, Sdk: sdkName, Pid: uint64(os.Getpid()),
	}
}

// Close says goodbye and ends the session, and with it the node if Local started it. Closing twice does nothing.
func (c *Client) Close() {
	if c.borrowed {
		return
	}
	c.link.sess.Close()
	c.stop()
}

// Done is closed when the session is over; Err says why.
func (c *Client) Done() <-chan struct{} { return c.link.sess.Done() }

// Err is why the session is over; nil while it is not.
func (c *Client) Err() error { return c.link.ended() }

// Flush sends what was submitted and not sent yet. It is seldom needed: whoever waits sends first, and nothing is kept back for longer than half a millisecond.
func (c *Client) Flush() { c.link.sess.Flush() }

// Namespace is the session's.
func (c *Client) Namespace() string { return c.link.sess.Welcome().GetNamespace() }

// Node is the id of the node.
func (c *Client) Node() ID { return idFrom(c.link.sess.Welcome().GetNode()) }

// Job is the id of the session's job.
func (c *Client) Job() ID { return idFrom(c.link.sess.Welcome().GetJob()) }

// InlineBytes is the size up to which values travel in calls; larger ones lie in the object store.
func (c *Client) InlineBytes() int { return c.link.inlineBytes }

func idFrom(b []byte) ID {
	var id ID
	copy(id[:], b)
	return id
}

func once(f func()) func() {
	var o sync.Once
	return func() { o.Do(f) }
}
