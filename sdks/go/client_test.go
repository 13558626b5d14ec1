package thornback_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	thornback "thornback.dev/go"
)

// ports are where a node of the test's own listens.
type ports struct {
	Unix      string `json:"unix"`
	GRPC      string `json:"grpc"`
	TokenFile string `json:"token_file"`
}

// node starts a node and tells where it listens.
func node(t *testing.T, args ...string) (context.Context, *thornback.Client, ports) {
	t.Helper()
	dir := t.TempDir()
	ctx, client := alone(t, thornback.NodeArgs(append([]string{"--dir", filepath.Join(dir, "node")}, args...)...))
	var p ports
	items, err := filepath.Glob(filepath.Join(dir, "node", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		switch filepath.Ext(item) {
		case ".sock":
			p.Unix = item
		}
		if strings.Contains(filepath.Base(item), "token") {
			p.TokenFile = item
		}
	}
	return ctx, client, p
}

func TestOverGRPCEverythingIsTheSame(t *testing.T) {
	port := freePort(t)
	ctx, _, p := node(t, "--grpc-port", port)
	address := "127.0.0.1:" + port
	client, err := thornback.Dial(ctx, address, thornback.TokenFile(p.TokenFile))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	declare(t, ctx, client)
	add := task[int](t, client, "add")
	refs := make([]thornback.Ref[int], 1000)
	for i := range refs {
		refs[i] = submit(t, ctx, add, i, 1)
	}
	if values, err := thornback.GetAll(ctx, refs); err != nil || values[999] != 1000 {
		t.Fatal(err)
	}
	data := noise(7*mib + 3)
	ref, err := thornback.Put(ctx, client, data)
	if err != nil {
		t.Fatal(err)
	}
	want(t, ctx, submit(t, ctx, task[int](t, client, "size"), ref), len(data))
	if got, err := ref.Get(ctx); err != nil || !bytes.Equal(got, data) {
		t.Fatal(len(got), err)
	}
	var both sync.WaitGroup
	for range 4 {
		both.Go(func() {
			if got, err := ref.Get(ctx); err != nil || !bytes.Equal(got, data) {
				t.Error(len(got), err)
			}
		})
	}
	both.Wait()
	room, err := client.Create(ctx, 2*mib)
	if err != nil {
		t.Fatal(err)
	}
	copy(room.Bytes(), noise(2*mib))
	sealed, err := room.Seal(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if view, err := sealed.Get(ctx); err != nil || !bytes.Equal(view.Bytes(), noise(2*mib)) {
		t.Fatal(view, err)
	}
	actor := create(t, ctx, client, "Counter", nil, 1)
	want(t, ctx, call[int](t, ctx, actor, "add", 1), 2)
	s, err := task[[]byte](t, client, "big_items").Stream(ctx, 3, mib)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for item, err := range s.All(ctx) {
		if err != nil || len(item) != mib || item[0] != byte(n) {
			t.Fatal(len(item), err)
		}
		n++
	}
	if n != 3 {
		t.Fatal(n)
	}

	for _, option := range []thornback.ConnectOption{thornback.Token(""), thornback.Token("wrong")} {
		if _, err := thornback.Dial(ctx, address, option); !errors.Is(err, thornback.CodeUnauthenticated) {
			t.Fatal(err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestAWorkerDialsInOverGRPC(t *testing.T) {
	port := freePort(t)
	ctx, client, p := node(t, "--grpc-port", port)
	t.Setenv("THORNBACK_TOKEN_FILE", p.TokenFile)
	w := thornback.NewWorker(thornback.WorkerPool("visitors"), thornback.WorkerAddress("127.0.0.1:"+port))
	w.Register("visit", func(v thornback.View) int { return v.Len() })
	w.Register("gift", func(n int) []byte { return noise(n) })
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- w.Serve(serving) }()
	eventually(t, "the worker is there", func() bool {
		status, err := client.Status(ctx)
		return err == nil && slices.ContainsFunc(status.WorkerList, func(w thornback.WorkerStatus) bool { return w.Pool == "visitors" })
	})
	want(t, ctx, submit(t, ctx, task[int](t, client, "visit"), noise(3*mib)), 3*mib)
	if got, err := submit(t, ctx, task[[]byte](t, client, "gift"), 2*mib).Get(ctx); err != nil || !bytes.Equal(got, noise(2*mib)) {
		t.Fatal(len(got), err)
	}
	stop()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
}

func TestAWorkerSaysWhatIsWrongWithIt(t *testing.T) {
	ctx, client := begin(t)
	_ = client
	for name, register := range map[string]func(*thornback.Worker){
		"no function":   func(w *thornback.Worker) { w.Register("a", 1) },
		"twice":         func(w *thornback.Worker) { w.Register("a", func() {}); w.RegisterActor("a", newCounter) },
		"a channel":     func(w *thornback.Worker) { w.Register("a", func(chan int) {}) },
		"no instance":   func(w *thornback.Worker) { w.RegisterActor("a", func() {}) },
		"no name":       func(w *thornback.Worker) { w.Register("", func() {}) },
		"no node known": func(*thornback.Worker) {},
	} {
		w := thornback.NewWorker()
		register(w)
		if err := w.Serve(ctx); !errors.Is(err, thornback.CodeInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	ctx := context.Background()
	for _, address := range []string{"unix:" + filepath.Join(t.TempDir(), "none.sock"), "127.0.0.1:" + freePort(t)} {
		if _, err := thornback.Dial(ctx, address, thornback.Token("t")); !errors.Is(err, thornback.CodeConnectionLost) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"", "unix:", "nonsense"} {
		if _, err := thornback.Dial(ctx, address, thornback.Token("t")); !errors.Is(err, thornback.CodeInvalidArgument) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := thornback.Local(ctx, thornback.Binary("/no/such/thornback")); !errors.Is(err, thornback.CodeConnectionLost) || !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := thornback.Local(ctx, thornback.Binary("/bin/false")); !errors.Is(err, thornback.CodeConnectionLost) {
		t.Error(err)
	}
}

// cutter passes bytes between a client and a node until it is told to cut the connection. Descriptors do not pass.
type cutter struct {
	path  string
	mu    sync.Mutex
	conns []net.Conn
	total int
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	c := &cutter{path: filepath.Join(t.TempDir(), "cut.sock")}
	l, err := net.Listen("unix", c.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			node, err := net.Dial("unix", to)
			if err != nil {
				client.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, client, node)
			c.total++
			c.mu.Unlock()
			for _, pair := range [][2]net.Conn{{client, node}, {node, client}} {
				go func() {
					_, _ = io.Copy(pair[0], pair[1])
					pair[0].Close()
					pair[1].Close()
				}()
			}
		}
	}()
	return c
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

func TestASessionOutlivesItsConnections(t *testing.T) {
	ctx, _, p := node(t)
	cutter := newCutter(t, p.Unix)
	client, err := thornback.Dial(ctx, "unix:"+cutter.path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	declare(t, ctx, client)
	add := task[int](t, client, "add")
	actor := create(t, ctx, client, "Counter", nil, 0)
	for round := range 10 {
		refs := make([]thornback.Ref[int], 300)
		calls := make([]thornback.Ref[int], 300)
		for i := range refs {
			refs[i] = submit(t, ctx, add, i, round)
			calls[i] = call[int](t, ctx, actor, "add", 1)
			if i == 150 {
				cutter.cut()
			}
		}
		values, err := thornback.GetAll(ctx, refs)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			if v != i+round {
				t.Fatalf("task %d gave %d", i, v)
			}
		}
		// Nothing was lost, and nothing done twice.
		counts, err := thornback.GetAll(ctx, calls)
		if err != nil || counts[299] != (round+1)*300 {
			t.Fatal(counts[299], err)
		}
	}
	cutter.mu.Lock()
	defer cutter.mu.Unlock()
	if cutter.total < 11 {
		t.Fatalf("%d connections were made", cutter.total)
	}
}

func TestANodeThatIsGoneIsToldToWhoeverWaits(t *testing.T) {
	ctx, first, p := node(t)
	client, err := thornback.Dial(ctx, "unix:"+p.Unix)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	declare(t, ctx, client)
	path, open := gate(t)
	defer open()
	ref := submit(t, ctx, task[any](t, client, "wait_at"), path+".bell", path)
	client.Flush()
	eventually(t, "it began", func() bool { return rings(path+".bell") == 1 })
	first.Close()
	_, err = ref.Get(ctx)
	var e *thornback.Error
	if !errors.As(err, &e) || e.Code != thornback.CodeConnectionLost && e.Code != thornback.CodeShuttingDown {
		t.Fatal(err)
	}
	<-client.Done()
}

func TestWhatWorkersPrintComesHere(t *testing.T) {
	said := &lines{}
	ctx, client := alone(t, thornback.Logs(said), thornback.NodeCPUs(1))
	if _, err := submit(t, ctx, task[any](t, client, "print"), "hello from afar").Get(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the line comes", func() bool {
		text := said.String()
		return strings.Contains(text, "hello from afar") && strings.HasPrefix(text, "(") && strings.Contains(text, "pid=")
	})
}

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestPlacementGroups(t *testing.T) {
	ctx, client := alone(t, thornback.NodeCPUs(2))
	group, err := client.CreatePlacementGroup(ctx, thornback.Pack, thornback.Bundle{"CPU": 1}, thornback.Bundle{"CPU": 0.5})
	if err != nil {
		t.Fatal(err)
	}
	if err := group.Ready().Ready(ctx); err != nil {
		t.Fatal(err)
	}
	status, err := client.Status(ctx)
	if err != nil || status.Total["CPU"] != 2 || status.Available["CPU"] != 0.5 {
		t.Fatal(status, err)
	}
	want(t, ctx, submit(t, ctx, task[int](t, client, "add", thornback.InPlacementGroup(group, 0)), 1, 2), 3)
	wantCode(t, ctx, submit(t, ctx, task[int](t, client, "add", thornback.InPlacementGroup(group, 1)), 1, 2), thornback.CodeInvalidArgument)
	never, err := client.CreatePlacementGroup(ctx, thornback.StrictSpread, thornback.Bundle{"CPU": 1}, thornback.Bundle{"CPU": 1})
	if err != nil {
		t.Fatal(err)
	}
	if ready, _, err := thornback.Wait(ctx, []thornback.Ref[any]{never.Ready()}, 1, thornback.WaitTimeout(1)); err != nil || len(ready) != 0 {
		t.Fatal(ready, err)
	}
	for _, g := range []*thornback.PlacementGroup{group, group, never} {
		if err := g.Remove(ctx); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, ctx, submit(t, ctx, task[int](t, client, "add", thornback.InPlacementGroup(group, 0)), 1, 2), thornback.CodePlacementGroupRemoved)
	if _, err := client.CreatePlacementGroup(ctx, "SIDEWAYS", thornback.Bundle{"CPU": 1}); !errors.Is(err, thornback.CodeInvalidArgument) {
		t.Fatal(err)
	}
}

func TestTheNodeTellsOfItself(t *testing.T) {
	ctx, client := alone(t, thornback.NodeCPUs(1.5), thornback.Namespace("mine"))
	if client.Namespace() != "mine" || client.Node().IsZero() || client.Job().IsZero() {
		t.Fatal(client.Namespace(), client.Node(), client.Job())
	}
	want(t, ctx, submit(t, ctx, task[int](t, client, "add"), 1, 2), 3)
	status, err := client.Status(ctx)
	if err != nil || status.TasksFinished != 1 || status.Workers == 0 || len(status.WorkerList) == 0 || status.Node != client.Node() {
		t.Fatal(status, err)
	}
	pools, more, err := client.ListState(ctx, "pools", 10)
	if err != nil || more || len(pools) == 0 {
		t.Fatal(pools, more, err)
	}
	var pool struct{ ID, Name string }
	if err := json.Unmarshal(pools[0], &pool); err != nil || pool.ID == "" {
		t.Fatal(string(pools[0]), err)
	}
	if _, _, err := client.ListState(ctx, "nonsense", 0); !errors.Is(err, thornback.CodeInvalidArgument) {
		t.Fatal(err)
	}
	wantCode(t, ctx, submit(t, ctx, task[any](t, client, "who.serves.this")), thornback.CodeFunctionNotFound)
}

func TestAPoolThatGivesNoWorkersFailsItsTasks(t *testing.T) {
	notices := make(chan *thornback.Error, 64)
	ctx, client := alone(t, thornback.NodeCPUs(1), thornback.OnNotice(func(e *thornback.Error) { notices <- e }))
	if err := client.DeclarePool(ctx, thornback.Pool{Name: "broken", Command: []string{"/bin/false"}, Functions: []string{"never"}}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, ctx, submit(t, ctx, task[any](t, client, "never")), thornback.CodeWorkerStartFailed)
	if e := <-notices; e.Code != thornback.CodeWorkerStartFailed {
		t.Fatal(e)
	}
}
