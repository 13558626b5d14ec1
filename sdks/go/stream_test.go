package thornback_test

import (
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	thornback "thornback.dev/go"
)

func stream[T any](t testing.TB, task *thornback.Task[T]) func(args ...any) *thornback.Stream[T] {
	return func(args ...any) *thornback.Stream[T] {
		t.Helper()
		ctx, _ := begin(t)
		s, err := task.Stream(ctx, args...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func TestAStreamGivesItsItemsInOrder(t *testing.T) {
	ctx, client := begin(t)
	var got []int
	for v, err := range stream(t, task[int](t, client, "count"))(1000).All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if len(got) != 1000 || !slices.IsSorted(got) || got[999] != 999 {
		t.Fatal(len(got))
	}
	if _, more, err := stream(t, task[int](t, client, "count"))(0).Next(ctx); more || err != nil {
		t.Fatal(more, err)
	}
}

func TestAFailureComesBehindTheItems(t *testing.T) {
	ctx, client := begin(t)
	s := stream(t, task[int](t, client, "count_failing"))(3)
	for i := range 3 {
		ref, more, err := s.Next(ctx)
		if !more || err != nil {
			t.Fatal(more, err)
		}
		want(t, ctx, ref, i)
	}
	var e *thornback.Error
	if _, more, err := s.Next(ctx); more || !errors.As(err, &e) || !e.IsType("soldOut") {
		t.Fatal(more, err)
	}
}

func TestALargeItemLiesInTheStore(t *testing.T) {
	ctx, client := begin(t)
	n := 0
	for item, err := range stream(t, task[[]byte](t, client, "big_items"))(4, 2*mib).All(ctx) {
		if err != nil || len(item) != 2*mib || item[0] != byte(n) {
			t.Fatal(len(item), err)
		}
		n++
	}
	if n != 4 {
		t.Fatal(n)
	}
}

func TestAProducerWaitsForItsConsumer(t *testing.T) {
	ctx, client := begin(t)
	bell := filepath.Join(t.TempDir(), "bell")
	s := stream(t, task[int](t, client, "count_ringing", thornback.StreamWindow(3)))(10, bell)
	for i := range 10 {
		ref, more, err := s.Next(ctx)
		if !more || err != nil {
			t.Fatal(more, err)
		}
		want(t, ctx, ref, i)
		// It may be making the item behind the window, and rang for it.
		if made := rings(bell); made > i+1+3+1 {
			t.Fatalf("%d items were made when %d had been taken", made, i+1)
		}
	}
	if _, more, err := s.Next(ctx); more || err != nil {
		t.Fatal(more, err)
	}
}

func TestAClosedStreamEndsItsProducer(t *testing.T) {
	ctx, client := begin(t)
	bell := filepath.Join(t.TempDir(), "bell")
	s := stream(t, task[int](t, client, "count_ringing", thornback.StreamWindow(2)))(1_000_000, bell)
	ref, _, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	eventually(t, "the producer ends", func() bool { return rings(bell+".end") == 1 })
	want(t, ctx, ref, 0)
	if _, _, err := s.Next(ctx); !errors.Is(err, thornback.CodeCancelled) {
		t.Fatal(err)
	}
}

func TestAStreamThatNobodyReachesEndsItsProducer(t *testing.T) {
	_, client := begin(t)
	bell := filepath.Join(t.TempDir(), "bell")
	stream(t, task[int](t, client, "count_ringing", thornback.StreamWindow(2)))(1_000_000, bell)
	client.Flush()
	eventually(t, "the producer ends", func() bool {
		runtime.GC()
		return rings(bell+".end") == 1
	})
}

func TestACancelledStreamSaysSo(t *testing.T) {
	ctx, client := begin(t)
	bell := filepath.Join(t.TempDir(), "bell")
	s := stream(t, task[int](t, client, "count_ringing", thornback.StreamWindow(2)))(1_000_000, bell)
	if err := s.Cancel(ctx); err != nil {
		t.Fatal(err)
	}
	for {
		_, more, err := s.Next(ctx)
		if err != nil {
			if !errors.Is(err, thornback.CodeCancelled) {
				t.Fatal(err)
			}
			return
		}
		if !more {
			t.Fatal("it ended as if nothing had happened")
		}
	}
}
