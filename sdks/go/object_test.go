package thornback_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"

	thornback "thornback.dev/go"
)

const mib = 1 << 20

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

func TestSmallAndLargeObjectsComeBack(t *testing.T) {
	ctx, client := begin(t)
	for _, n := range []int{0, 1, 1023, 1024, client.InlineBytes() - 1, client.InlineBytes(), client.InlineBytes() + 1, 3 * mib, 9 * mib} {
		data := noise(n)
		ref, err := thornback.Put(ctx, client, data)
		if err != nil {
			t.Fatal(n, err)
		}
		got, err := ref.Get(ctx)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes came back as %d, %v", n, len(got), err)
		}
		view, err := thornback.As[thornback.View](ref).Get(ctx)
		if err != nil || !bytes.Equal(view.Bytes(), data) {
			t.Fatalf("%d bytes are viewed as %v, %v", n, view, err)
		}
		runtime.KeepAlive(view)
		want(t, ctx, submit(t, ctx, task[int](t, client, "size"), ref), n)
		want(t, ctx, submit(t, ctx, task[int](t, client, "size"), data), n)
		ref.Close()
		if _, err := ref.Get(ctx); !errors.Is(err, thornback.CodeInvalidArgument) {
			t.Fatal("a closed ref gave", err)
		}
	}
	list := make([]any, 100_000)
	for i := range list {
		list[i] = int64(i)
	}
	ref, err := thornback.Put(ctx, client, list)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := thornback.As[[]int](ref).Get(ctx); err != nil || len(got) != len(list) || got[99_999] != 99_999 {
		t.Fatal(len(got), err)
	}
}

func TestLargeResultsAreStoredAndReadInPlace(t *testing.T) {
	ctx, client := begin(t)
	ref := submit(t, ctx, task[thornback.View](t, client, "zeros"), 5*mib)
	first, err := ref.Get(ctx)
	if err != nil || first.Len() != 5*mib {
		t.Fatal(first, err)
	}
	second, err := ref.Get(ctx)
	if err != nil || &first.Bytes()[0] != &second.Bytes()[0] {
		t.Fatal("two views of one object lie at different places", err)
	}
	p := make([]byte, 10)
	if n, err := second.ReadAt(p, 5*mib-4); n != 4 || err == nil {
		t.Fatal(n, err)
	}
	runtime.KeepAlive(first)
}

func TestTensorsCross(t *testing.T) {
	ctx, client := begin(t)
	numbers := make([]float64, 200_000)
	for i := range numbers {
		numbers[i] = 0.5
	}
	tensor, err := thornback.NewTensor(numbers, 1000, 200)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := thornback.Put(ctx, client, tensor)
	if err != nil {
		t.Fatal(err)
	}
	want(t, ctx, submit(t, ctx, task[float64](t, client, "sum"), ref), 100_000)
	got, err := ref.Get(ctx)
	if err != nil || !slices.Equal(got.Shape, []int{1000, 200}) {
		t.Fatal(got, err)
	}
}

func TestCreateThenFill(t *testing.T) {
	ctx, client := begin(t)
	room, err := client.Create(ctx, 2*mib)
	if err != nil {
		t.Fatal(err)
	}
	defer room.Abort()
	copy(room.Bytes(), noise(2*mib))
	ref, err := room.Seal(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := room.Seal(ctx); !errors.Is(err, thornback.CodeInvalidArgument) {
		t.Fatal(err)
	}
	if view, err := ref.Get(ctx); err != nil || !bytes.Equal(view.Bytes(), noise(2*mib)) {
		t.Fatal(view, err)
	}
	matrix, err := client.CreateTensor(ctx, "<f8", 1000, 50)
	if err != nil {
		t.Fatal(err)
	}
	clear(matrix.Bytes())
	if ref, err = matrix.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, ctx, submit(t, ctx, task[float64](t, client, "sum"), ref), 0)
	given, err := client.Create(ctx, mib)
	if err != nil {
		t.Fatal(err)
	}
	given.Abort()
}

func TestWhatDoesNotFitTheStoreIsRefused(t *testing.T) {
	ctx, client := alone(t, thornback.NodeStoreBytes(32*mib), thornback.NodeCPUs(1))
	if _, err := thornback.Put(ctx, client, make([]byte, 64*mib)); !errors.Is(err, thornback.CodeStoreFull) {
		t.Fatal(err)
	}
	if _, err := task[int](t, client, "size").Submit(ctx, make([]byte, 64*mib)); !errors.Is(err, thornback.CodeStoreFull) {
		t.Fatal(err)
	}
	wantCode(t, ctx, submit(t, ctx, task[[]byte](t, client, "zeros"), 64*mib), thornback.CodeStoreFull)
	// More than fits at once goes to disk and comes back.
	var refs []thornback.Ref[[]byte]
	for i := range 6 {
		data := make([]byte, 10*mib)
		data[0] = byte(i)
		ref, err := thornback.Put(ctx, client, data)
		if err != nil {
			t.Fatal(i, err)
		}
		refs = append(refs, ref)
	}
	for i, ref := range refs {
		if got, err := ref.Get(ctx); err != nil || len(got) != 10*mib || got[0] != byte(i) {
			t.Fatal(i, len(got), err)
		}
	}
}

func TestRoomIsFoundWhereOnlyGarbageIsInTheWay(t *testing.T) {
	ctx, client := alone(t, thornback.NodeStoreBytes(16*mib), thornback.NodeCPUs(1))
	// Nothing here makes the collector run by itself.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for i := range 6 {
		ref, err := thornback.Put(ctx, client, noise(6*mib))
		if err != nil {
			t.Fatal(i, err)
		}
		view, err := thornback.As[thornback.View](ref).Get(ctx)
		if err != nil || view.Len() != 6*mib {
			t.Fatal(i, view, err)
		}
	}
}

func TestWhatIsReadInPlaceAndForgottenIsLetGoUnasked(t *testing.T) {
	ctx, client := alone(t, thornback.NodeCPUs(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	ref, err := thornback.Put(ctx, client, noise(2*mib))
	if err != nil {
		t.Fatal(err)
	}
	view, err := thornback.As[thornback.View](ref).Get(ctx)
	if err != nil || view.Len() != 2*mib {
		t.Fatal(view, err)
	}
	ref.Close()
	eventually(t, "no pin is left", func() bool {
		status, err := client.Status(ctx)
		return err == nil && status.StoreUsed == 0
	})
}

func TestRefsInsideValuesAreCounted(t *testing.T) {
	ctx, client := begin(t)
	inner, err := thornback.Put(ctx, client, 7)
	if err != nil {
		t.Fatal(err)
	}
	want(t, ctx, submit(t, ctx, task[int](t, client, "read_inside"), map[string]any{"a": inner}), 7)
	outer, err := thornback.Put(ctx, client, []any{inner, inner})
	if err != nil {
		t.Fatal(err)
	}
	inner.Close()
	list, err := thornback.As[[]thornback.Ref[int]](outer).Get(ctx)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	outer.Close()
	want(t, ctx, list[0], 7)
	list[0].Close()
	want(t, ctx, list[1], 7)
	made, err := submit(t, ctx, task[map[string]thornback.Ref[int]](t, client, "put_inside"), 9).Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want(t, ctx, made["ref"], 9)
}

func TestWhatNobodyRefersToIsFreed(t *testing.T) {
	ctx, client := alone(t, thornback.NodeCPUs(1))
	objects := func() uint64 {
		status, err := client.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return status.Objects
	}
	before := objects()
	kept, err := thornback.Put(ctx, client, noise(mib))
	if err != nil {
		t.Fatal(err)
	}
	func() {
		for range 50 {
			if _, err := thornback.Put(ctx, client, noise(mib)); err != nil {
				t.Fatal(err)
			}
			if _, err := submit(t, ctx, task[[]byte](t, client, "zeros"), mib).Get(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}()
	eventually(t, "the garbage collector gives back what nobody refers to", func() bool {
		runtime.GC()
		return objects() == before+1
	})
	kept.Close()
	eventually(t, "Close gives an object back", func() bool { return objects() == before })
	eventually(t, "no pin is left", func() bool {
		runtime.GC()
		status, err := client.Status(ctx)
		return err == nil && status.StoreUsed == 0
	})
}

func TestAfterCloseEverythingSaysSo(t *testing.T) {
	ctx, client := alone(t, thornback.NodeCPUs(1))
	path, open := gate(t)
	defer open()
	ref := submit(t, ctx, task[any](t, client, "wait_at"), path+".bell", path)
	waiting := make(chan error, 1)
	go func() {
		_, err := ref.Get(context.Background())
		waiting <- err
	}()
	client.Close()
	client.Close()
	if err := <-waiting; !errors.Is(err, thornback.CodeConnectionLost) {
		t.Fatal(err)
	}
	<-client.Done()
	if !errors.Is(client.Err(), thornback.CodeConnectionLost) {
		t.Fatal(client.Err())
	}
	if _, err := thornback.Put(ctx, client, 1); !errors.Is(err, thornback.CodeConnectionLost) {
		t.Fatal(err)
	}
	if late, err := task[int](t, client, "add").Submit(ctx, 1, 2); err == nil {
		wantCode(t, ctx, late, thornback.CodeConnectionLost)
	}
	if _, err := client.Status(ctx); !errors.Is(err, thornback.CodeConnectionLost) {
		t.Fatal(err)
	}
}
