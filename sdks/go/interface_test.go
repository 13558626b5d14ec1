package thornback_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	thornback "thornback.dev/go"
	"thornback.dev/go/internal/golden/everything"
	"thornback.dev/go/internal/golden/images"
	"thornback.dev/go/wit"
)

// The clients and workers that `thornback gen` writes, against the real server. The interface is sdks/gen/tests/wit/everything.wit.

// shapes and echo serve the interfaces.
type shapes struct{}

func (shapes) Area(_ context.Context, shape everything.Shape) (float64, error) {
	if circle, ok := shape.(everything.ShapeCircle); ok {
		return 3 * circle.Value * circle.Value, nil
	}
	return 0, nil
}

type echo struct{}

func (echo) ThereAndBack(_ context.Context, value everything.Nested) (everything.Nested, error) {
	return value, nil
}

func (echo) Numbers(_ context.Context, values []uint16) (uint64, error) {
	sum := uint64(0)
	for _, value := range values {
		sum += uint64(value)
	}
	return sum, nil
}

func (echo) Maybe(_ context.Context, value *uint8) (*uint8, error) { return value, nil }

func (echo) Divide(_ context.Context, a, b int32) (wit.Result[int32, string], error) {
	if b == 0 {
		return wit.Err[int32]("division by zero"), nil
	}
	return wit.Ok[int32, string](a / b), nil
}

func (echo) Nothing(context.Context) error { return nil }

func (echo) CountDown(_ context.Context, from uint32) iter.Seq2[uint32, error] {
	return func(yield func(uint32, error) bool) {
		for n := from; n > 0; n-- {
			if !yield(n, nil) {
				return
			}
		}
	}
}

// tally is an actor of the resource counter.
type tally struct {
	sum     int64
	history []int64
}

func newTally(_ context.Context, start int64) (everything.CounterWorker, error) {
	if start < 0 {
		return nil, errors.New("a counter begins at 0")
	}
	return &tally{sum: start}, nil
}

func (c *tally) Add(_ context.Context, n int64) (int64, error) {
	c.sum += n
	c.history = append(c.history, n)
	return c.sum, nil
}

func (c *tally) HistoryOf(context.Context) ([]int64, error) { return c.history, nil }

func (c *tally) Steps(_ context.Context, by uint8) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		for n := range c.sum {
			if n%int64(by) == 0 && !yield(n, nil) {
				return
			}
		}
	}
}

func (c *tally) Reset(context.Context) error {
	c.sum = 0
	return nil
}

func serveInterfaces(w *thornback.Worker) {
	everything.ServeShapes(w, shapes{})
	everything.ServeEcho(w, echo{}, newTally)
}

// nested has every type in it.
func nested() everything.Nested {
	return everything.Nested{
		Scalars: everything.Scalars{
			Bool: true, AU8: 255, AU16: 65535, AU32: 1<<32 - 1, AU64: 1<<64 - 1, AnS8: -128, AnS16: -1 << 15, AnS32: -1 << 31, AnS64: -1 << 63,
			AnF32: 0.1, AnF64: 1e300, AChar: '🦔', AString: "hérisson",
		},
		Maybe:    wit.Some(""),
		Outcome:  wit.Err[uint32]("no"),
		Bare:     wit.Ok[wit.Unit, wit.Unit](wit.Unit{}),
		Pair:     everything.Tuple2[uint8, string]{F0: 7, F1: "seven"},
		Shapes:   []everything.Shape{everything.ShapeEmpty{}, everything.ShapeCircle{Value: 2}, everything.ShapePolygon{Value: []everything.Point{{X: 1, Y: -0.5}}}},
		Grade:    everything.LevelVeryHigh,
		Channels: everything.Channels{Red: true, Alpha: true},
		Bytes:    []byte{0, 255},
		Points:   []everything.Point{},
	}
}

func stubs(t *testing.T) (context.Context, *thornback.Client, *everything.Echo) {
	t.Helper()
	ctx, client := begin(t)
	echo, err := everything.NewEcho(client, thornback.InPool("test"))
	if err != nil {
		t.Fatal(err)
	}
	return ctx, client, echo
}

func got[T any](t *testing.T, ctx context.Context) func(thornback.Ref[T], error) T {
	return func(ref thornback.Ref[T], err error) T {
		t.Helper()
		var value T
		if err == nil {
			value, err = ref.Get(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func TestEveryTypeOfAnInterfaceGoesThereAndBack(t *testing.T) {
	ctx, client, echo := stubs(t)
	thereAndBack(t, ctx, client, echo, "test")
}

// pythonPeer is a command that runs sdks/gen/tests/python_peer.py.
func pythonPeer(t *testing.T, mode string) []string {
	t.Helper()
	python := os.Getenv("THORNBACK_TEST_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", "target", "venv-test", "bin", "python")
	}
	peer := filepath.Join("..", "gen", "tests", "python_peer.py")
	for _, path := range []*string{&python, &peer} {
		full, err := filepath.Abs(*path)
		if err == nil {
			_, err = os.Stat(full)
		}
		if err != nil {
			t.Fatalf("no Python to test with: %v; `cargo xtask test --only ruff` makes one, or name one in THORNBACK_TEST_PYTHON", err)
		}
		*path = full
	}
	return []string{python, peer, mode}
}

func TestAnInterfaceIsServedByPython(t *testing.T) {
	ctx, client := begin(t)
	pool := thornback.Pool{Name: "python", Language: "python", Command: pythonPeer(t, "worker")}
	pool.Interface = append(append(pool.Interface, everything.ShapesInterface...), everything.EchoInterface...)
	if err := client.DeclarePool(ctx, pool); err != nil {
		t.Fatal(err)
	}
	echo, err := everything.NewEcho(client, thornback.InPool("python"))
	if err != nil {
		t.Fatal(err)
	}
	thereAndBack(t, ctx, client, echo, "python")
}

func TestAnInterfaceIsCalledByPython(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	worker, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(server(t))
	if err != nil {
		t.Fatal(err)
	}
	driver := pythonPeer(t, "driver")
	command := exec.CommandContext(ctx, driver[0], append(driver[1:], worker)...)
	command.Env = append(os.Environ(), "THORNBACK_BINARY="+path)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

func TestAWorkerOrCallOfAnotherInterfaceIsRefused(t *testing.T) {
	// A node of its own: an unknown function might be of the pool without workers that this declares.
	ctx, client := alone(t, thornback.NodeCPUs(4))
	wantMismatch := func(pool string, contract *thornback.Contract, words string) {
		t.Helper()
		task, err := thornback.NewContractTask[any](client, contract, thornback.InPool(pool))
		if err != nil {
			t.Fatal(err)
		}
		args := make([]any, len(contract.Params))
		for i := range args {
			args[i] = submit(t, ctx, taskOf(t, client))
		}
		if e := wantCode(t, ctx, submit(t, ctx, task, args...), thornback.CodeSignatureMismatch); !strings.Contains(e.Message, words) {
			t.Error(e)
		}
	}
	pool, err := thornback.ThisProgram("images")
	if err != nil {
		t.Fatal(err)
	}
	pool.Command, pool.Interface = pool.Command[:1], images.ImagesInterface
	if err := client.DeclarePool(ctx, pool); err != nil {
		t.Fatal(err)
	}
	wantMismatch("images", images.ImagesInterface[0], "images.resize")
	older := *everything.EchoInterface[1]
	older.Signature = "func(values: list<u8>) -> u64"
	wantMismatch("test", &older, "list<u16>")
}

func taskOf(t *testing.T, client *thornback.Client) *thornback.Task[any] {
	t.Helper()
	return task[any](t, client, "nothing", thornback.InPool("test"))
}

func thereAndBack(t *testing.T, ctx context.Context, client *thornback.Client, echo *everything.Echo, pool string) {
	t.Helper()
	for _, value := range []everything.Nested{nested(), func() everything.Nested {
		other := nested()
		other.Maybe, other.Outcome, other.Grade, other.Channels = nil, wit.Ok[uint32, string](3), everything.LevelLow, everything.Channels{}
		return other
	}()} {
		if back := got[everything.Nested](t, ctx)(echo.ThereAndBack(ctx, value)); !reflect.DeepEqual(back, value) {
			t.Errorf("%+v came back as %+v", value, back)
		}
	}
	if sum := got[uint64](t, ctx)(echo.Numbers(ctx, []uint16{1, 65535})); sum != 65536 {
		t.Error(sum)
	}
	if none := got[*uint8](t, ctx)(echo.Maybe(ctx, nil)); none != nil {
		t.Error(none)
	}
	if zero := got[*uint8](t, ctx)(echo.Maybe(ctx, wit.Some(uint8(0)))); zero == nil || *zero != 0 {
		t.Error(zero)
	}
	divided := got[wit.Result[int32, string]](t, ctx)(echo.Divide(ctx, 1, 0))
	if !divided.Failed || divided.Err != "division by zero" {
		t.Error(divided)
	}
	got[wit.Unit](t, ctx)(echo.Nothing(ctx))
	stream, err := echo.CountDown(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	var items []uint32
	for item, err := range stream.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	if !reflect.DeepEqual(items, []uint32{2, 1}) {
		t.Error(items)
	}
	class, err := everything.NewCounterClass(client, thornback.InPool(pool))
	if err != nil {
		t.Fatal(err)
	}
	counter, err := class.Create(ctx, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer counter.Actor().Close()
	if sum := got[int64](t, ctx)(counter.Add(ctx, -2)); sum != 3 {
		t.Error(sum)
	}
	if history := got[[]int64](t, ctx)(counter.HistoryOf(ctx)); !reflect.DeepEqual(history, []int64{-2}) {
		t.Error(history)
	}
	got[wit.Unit](t, ctx)(counter.Reset(ctx))
	shapes, err := everything.NewShapes(client, thornback.InPool(pool))
	if err != nil {
		t.Fatal(err)
	}
	if area := got[float64](t, ctx)(shapes.Area(ctx, everything.ShapeCircle{Value: 2})); area != 12 {
		t.Error(area)
	}
}

func TestAnArgumentOfAnInterfaceMayBeARef(t *testing.T) {
	ctx, client, echo := stubs(t)
	sum, err := echo.Numbers(ctx, []uint16{3, 4})
	if err != nil {
		t.Fatal(err)
	}
	// One of a stub, and one of the very same value that no interface knows of.
	if n := got[uint32](t, ctx)(first(ctx, echo, wit.Of(thornback.As[uint32](sum)))); n != 7 {
		t.Error(n)
	}
	seven, err := thornback.Put(ctx, client, uint32(7))
	if err != nil {
		t.Fatal(err)
	}
	if n := got[uint32](t, ctx)(first(ctx, echo, wit.Of(seven))); n != 7 {
		t.Error(n)
	}
}

func first(ctx context.Context, echo *everything.Echo, from wit.Arg[uint32]) (thornback.Ref[uint32], error) {
	stream, err := echo.CountDownArgs(ctx, from)
	if err != nil {
		return thornback.Ref[uint32]{}, err
	}
	ref, _, err := stream.Next(ctx)
	return ref, err
}

func TestAnActorOfAResourceThatCannotBeMadeSaysWhy(t *testing.T) {
	ctx, client, _ := stubs(t)
	class, err := everything.NewCounterClass(client, thornback.InPool("test"))
	if err != nil {
		t.Fatal(err)
	}
	failing, err := class.Create(ctx, -1)
	if err != nil {
		t.Fatal(err)
	}
	never, err := failing.Add(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := never.Get(ctx); err == nil || !strings.Contains(err.Error(), "begins at 0") {
		t.Error(err)
	}
	other := create(t, ctx, client, "Counter", nil, 1)
	if _, err := everything.CounterOf(other); !errors.Is(err, thornback.CodeInvalidArgument) {
		t.Error(err)
	}
}

func TestWhatDoesNotFitAnInterfaceIsNamedByItsPath(t *testing.T) {
	ctx, client, echo := stubs(t)
	wrong := nested()
	wrong.Scalars.AChar = 0xd800
	if _, err := echo.ThereAndBack(ctx, wrong); !errors.Is(err, thornback.CodeInvalidArgument) || !strings.Contains(err.Error(), "there-and-back.value.scalars.a-char: ") {
		t.Error(err)
	}
	wrong = nested()
	wrong.Shapes[1] = nil
	if _, err := echo.ThereAndBack(ctx, wrong); err == nil || !strings.Contains(err.Error(), "there-and-back.value.shapes[1]: nothing is not a shape") {
		t.Error(err)
	}
	// From a caller that knows no interface; user code does not run.
	untyped := task[any](t, client, "echo.numbers", thornback.InPool("test"))
	e := wantCode(t, ctx, submit(t, ctx, untyped, []any{1, 70000}), thornback.CodeInvalidArgument)
	if !strings.Contains(e.Message, "numbers.values[1]: 70000 is not a u16") {
		t.Error(e)
	}
	e = wantCode(t, ctx, submit(t, ctx, task[any](t, client, "shapes.area", thornback.InPool("test")), map[string]any{"square": 1}), thornback.CodeInvalidArgument)
	if !strings.Contains(e.Message, "area.shape: a map of 1 is not a shape: one of empty, circle, polygon") {
		t.Error(e)
	}
	e = wantCode(t, ctx, submit(t, ctx, untyped), thornback.CodeWrongArity)
	if !strings.Contains(e.Message, "1") {
		t.Error(e)
	}
}
