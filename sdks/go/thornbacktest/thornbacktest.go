// Package thornbacktest is for tests of programs that use Thornback: a runtime inside the process, without a server.
//
//	func TestReport(t *testing.T) {
//		worker := thornback.NewWorker()
//		worker.Register("render", render)
//		client := thornbacktest.New(t, worker)
//		… // Use client as you would any other.
//	}
//
// What a program sees is the same as elsewhere: arguments and results are encoded and decoded, so nothing is shared by accident; errors have their codes,
// types and causes; refs resolve; streams are paced; tasks submit tasks and are cancelled; actors keep state, have names, die.
//
// What is not here: processes (everything runs in this one, so a debugger stops in tasks, and package variables are shared), resources and placement
// (everything fits), retries after a lost worker, restarts of actors, the memory shared with a node, workers of other languages, and the freeing of objects and of actors that
// nobody refers to: both stay until the end of the test.
package thornbacktest

import (
	"context"
	"testing"
	"time"

	thornback "thornback.dev/go"
	"thornback.dev/go/internal/fakenode"
	"thornback.dev/go/internal/inside"
)

// openTimeout ends a test whose worker cannot even be connected.
const openTimeout = 30 * time.Second

// New gives a client of a runtime whose workers serve what the worker serves; nil serves nothing. Both end with the test.
func New(t testing.TB, worker *thornback.Worker) *thornback.Client {
	t.Helper()
	if worker == nil {
		worker = thornback.NewWorker()
	}
	node := fakenode.New(worker)
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	opened, err := inside.Client(ctx, node.Dial)
	if err != nil {
		t.Fatalf("thornbacktest: %v", err)
	}
	client, ok := opened.(*thornback.Client)
	if !ok {
		t.Fatalf("thornbacktest: a session gave a %T", opened)
	}
	t.Cleanup(func() {
		client.Close()
		node.Close()
	})
	return client
}
