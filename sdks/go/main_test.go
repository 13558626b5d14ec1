package thornback_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	thornback "thornback.dev/go"
)

// The tests against the real server. The test binary is its own worker: the node starts it again, and TestMain serves.

// patience is what only a hang gets to.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	if thornback.IsWorker() {
		if err := testWorker().Serve(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if shared.client != nil {
		shared.client.Close()
	}
	os.Exit(code)
}

var shared struct {
	sync.Mutex
	client *thornback.Client
}

func server(t testing.TB) string {
	t.Helper()
	path := os.Getenv("THORNBACK_BINARY")
	if path == "" {
		path = filepath.Join("..", "..", "target", "debug", "thornback")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no server to test against: %v; build it with `cargo build -p thornback-server`, or name one in THORNBACK_BINARY", err)
	}
	return path
}

// begin gives a client of the node that tests share, and a context that ends before the test hangs.
func begin(t testing.TB) (context.Context, *thornback.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	shared.Lock()
	defer shared.Unlock()
	if shared.client == nil {
		shared.client = start(t, ctx, thornback.NodeCPUs(4))
	}
	return ctx, shared.client
}

// alone gives a client of a node of the test's own.
func alone(t testing.TB, options ...thornback.ConnectOption) (context.Context, *thornback.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	client := start(t, ctx, options...)
	t.Cleanup(client.Close)
	return ctx, client
}

func start(t testing.TB, ctx context.Context, options ...thornback.ConnectOption) *thornback.Client {
	t.Helper()
	client, err := thornback.Local(ctx, append([]thornback.ConnectOption{thornback.Binary(server(t))}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	declare(t, ctx, client)
	return client
}

func declare(t testing.TB, ctx context.Context, client *thornback.Client) {
	t.Helper()
	pool, err := thornback.ThisProgram("test")
	if err != nil {
		t.Fatal(err)
	}
	// Flags of the test are not the worker's.
	pool.Command = pool.Command[:1]
	if err := client.DeclarePool(ctx, pool); err != nil {
		t.Fatal(err)
	}
}

func task[T any](t testing.TB, client *thornback.Client, name string, options ...thornback.Option) *thornback.Task[T] {
	t.Helper()
	task, err := thornback.NewTask[T](client, name, options...)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func submit[T any](t testing.TB, ctx context.Context, task *thornback.Task[T], args ...any) thornback.Ref[T] {
	t.Helper()
	ref, err := task.Submit(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func create(t testing.TB, ctx context.Context, client *thornback.Client, class string, options []thornback.Option, args ...any) *thornback.Actor {
	t.Helper()
	c, err := thornback.NewClass(client, class, options...)
	if err != nil {
		t.Fatal(err)
	}
	actor, err := c.Create(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return actor
}

func call[T any](t testing.TB, ctx context.Context, actor *thornback.Actor, method string, args ...any) thornback.Ref[T] {
	t.Helper()
	ref, err := thornback.Call[T](ctx, actor, method, args...)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func want[T comparable](t testing.TB, ctx context.Context, ref thornback.Ref[T], want T) {
	t.Helper()
	got, err := ref.Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func wantCode[T any](t testing.TB, ctx context.Context, ref thornback.Ref[T], code thornback.Code) *thornback.Error {
	t.Helper()
	got, err := ref.Get(ctx)
	var e *thornback.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v and %v, want %v", got, err, code)
	}
	return e
}

// eventually waits for something that only the server knows, and that no event tells.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for begun := time.Now(); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > patience {
			t.Fatalf("this did not come true: %s", what)
		}
	}
}

// gate is a named pipe: who passes it waits until it is opened, in whatever process.
func gate(t testing.TB) (path string, open func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "gate")
	return path, func() {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
}

func pass(ctx context.Context, path string) error {
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// ring tells a test that something has happened, by a file; each ring adds a line.
func ring(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(line + "\n")
	return err
}

func rings(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}

type soldOut struct{ Item string }

func (e *soldOut) Error() string { return "no " + e.Item + " left" }

func testWorker() *thornback.Worker {
	w := thornback.NewWorker()
	w.Register("add", func(a, b int) int { return a + b })
	w.Register("echo", func(v any) any { return v })
	w.Register("echo_struct", func(p person) person { p.Age++; return p })
	w.Register("divide", func(a, b int) (int, int, error) {
		if b == 0 {
			return 0, 0, errors.New("division by zero")
		}
		return a / b, a % b, nil
	})
	w.Register("join", func(separator string, parts ...string) string { return strings.Join(parts, separator) })
	w.Register("named", func(a int, kw thornback.Keywords) string { return fmt.Sprint(a, kw["b"], len(kw)) })
	w.Register("nothing", func() {})
	w.Register("cost", costHere)
	w.Register("buy", func(item string) error { return fmt.Errorf("cannot buy: %w", &soldOut{item}) })
	w.Register("panics", func() string { return os.Args[len(os.Args)] })
	w.Register("leaves", func() { panic(fmt.Sprintf("left %d", 7)) })
	w.Register("unserializable", func() any { return make(chan int) })
	w.Register("ring", func(path string) error { return ring(path, "ring") })
	w.Register("wait_at", func(ctx context.Context, bell, gate string) error {
		if err := ring(bell, "began"); err != nil {
			return err
		}
		return pass(ctx, gate)
	})
	w.Register("deaf", func(bell, gate string) (int, error) {
		if err := ring(bell, "began"); err != nil {
			return 0, err
		}
		return 5, pass(context.Background(), gate)
	})
	w.Register("fail_times", func(path string, n int) (int, error) {
		if err := ring(path, "tried"); err != nil {
			return 0, err
		}
		if tried := rings(path); tried <= n {
			return 0, &soldOut{strconv.Itoa(tried)}
		}
		return rings(path), nil
	})
	w.Register("die_times", func(path string, n int) (int, error) {
		if err := ring(path, "tried"); err != nil {
			return 0, err
		}
		if rings(path) <= n {
			os.Exit(3)
		}
		return rings(path), nil
	})
	w.Register("factorial", func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return 1, nil
		}
		client, _ := thornback.ClientFrom(ctx)
		t, err := thornback.NewTask[int](client, "factorial")
		if err != nil {
			return 0, err
		}
		ref, err := t.Submit(ctx, n-1)
		if err != nil {
			return 0, err
		}
		below, err := ref.Get(ctx)
		return n * below, err
	})
	w.Register("nested_failure", func(ctx context.Context) (int, error) {
		client, _ := thornback.ClientFrom(ctx)
		t, err := thornback.NewTask[int](client, "buy")
		if err != nil {
			return 0, err
		}
		ref, err := t.Submit(ctx, "bread")
		if err != nil {
			return 0, err
		}
		if _, err := ref.Get(ctx); err != nil {
			return 0, fmt.Errorf("no breakfast: %w", err)
		}
		return 0, nil
	})
	w.Register("size", func(v thornback.View) int { return v.Len() })
	w.Register("zeros", func(n int) []byte { return make([]byte, n) })
	w.Register("sum", func(t *thornback.Tensor) (float64, error) {
		elements, err := thornback.Elements[float64](t)
		total := 0.0
		for _, e := range elements {
			total += e
		}
		return total, err
	})
	w.Register("read_inside", func(ctx context.Context, refs map[string]thornback.Ref[int]) (int, error) { return refs["a"].Get(ctx) })
	w.Register("put_inside", func(ctx context.Context, v int) (map[string]any, error) {
		client, _ := thornback.ClientFrom(ctx)
		ref, err := thornback.Put(ctx, client, v)
		return map[string]any{"ref": ref}, err
	})
	w.Register("count", func(n int) iter.Seq[int] {
		return func(yield func(int) bool) {
			for i := range n {
				if !yield(i) {
					return
				}
			}
		}
	})
	w.Register("count_ringing", func(n int, bell string) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if err := ring(bell, "item"); err != nil || !yield(i, nil) {
					_ = ring(bell+".end", "end")
					return
				}
			}
		}
	})
	w.Register("count_failing", func(n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
			yield(0, &soldOut{"numbers"})
		}
	})
	w.Register("big_items", func(n, bytes int) iter.Seq[[]byte] {
		return func(yield func([]byte) bool) {
			for i := range n {
				item := make([]byte, bytes)
				item[0] = byte(i)
				if !yield(item) {
					return
				}
			}
		}
	})
	w.Register("whoami", func(ctx context.Context) (map[string]any, error) {
		me, ok := thornback.Running(ctx)
		return map[string]any{"ok": ok, "name": me.Name, "attempt": me.Attempt, "namespace": me.Namespace, "actor": !me.Actor.IsZero()}, nil
	})
	w.Register("print", func(line string) { fmt.Println(line) })
	w.RegisterActor("Counter", newCounter)
	w.RegisterActor("Unmakeable", func() (*counter, error) { return nil, &soldOut{"actors"} })
	serveInterfaces(w)
	return w
}

type person struct {
	Name string `json:"name"`
	Age  int    `json:"age"`
}

type counter struct {
	mu      sync.Mutex
	value   int
	history []int
	running int
	most    int
}

func newCounter(start int) *counter { return &counter{value: start} }

func (c *counter) Add(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value += n
	c.history = append(c.history, n)
	return c.value
}
func (c *counter) GetHistory() []int { return c.history }
func (c *counter) Fail() error       { return &soldOut{"luck"} }
func (c *counter) Die()              { os.Exit(1) }
func (c *counter) PID() int          { return os.Getpid() }
func (c *counter) WaitAt(ctx context.Context, bell, gate string) error {
	if err := ring(bell, "began"); err != nil {
		return err
	}
	return pass(ctx, gate)
}

// Meet returns once n calls run at the same time.
func (c *counter) Meet(ctx context.Context, n int) error {
	c.mu.Lock()
	c.running++
	c.mu.Unlock()
	for {
		c.mu.Lock()
		c.most = max(c.most, c.running)
		met := c.most >= n
		c.mu.Unlock()
		if met {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
}

func (c *counter) Leave(ctx context.Context) (string, error) {
	return "bye", thornback.ExitActor(ctx)
}

func (c *counter) UpTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			c.value++
			if !yield(i) {
				return
			}
		}
	}
}

func (c *counter) Self(ctx context.Context) (bool, error) {
	self, ok := thornback.Self(ctx)
	me, _ := thornback.Running(ctx)
	return ok && self.ID() == me.Actor && me.Restarts == 0, nil
}
