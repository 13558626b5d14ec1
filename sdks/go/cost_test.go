package thornback_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	thornback "thornback.dev/go"
)

// Guards of what a task costs that need no clock: allocations and system calls, in the driver and in the worker.

// cost is what a process did since it started.
type cost struct {
	Mallocs uint64 `thornback:"mallocs"`
	Writes  uint64 `thornback:"writes"`
}

func costHere() (cost, error) {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	c := cost{Mallocs: memory.Mallocs}
	counts, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return c, err
	}
	lines := bufio.NewScanner(bytes.NewReader(counts))
	for lines.Scan() {
		if count, ok := strings.CutPrefix(lines.Text(), "syscw: "); ok {
			_, err := fmt.Sscan(count, &c.Writes)
			return c, err
		}
	}
	return c, fmt.Errorf("/proc/self/io does not count writes:\n%s", counts)
}

func TestWhatATaskCosts(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux counts what a process writes")
	}
	const tasks = 4096
	// One CPU, so that there is one worker.
	ctx, client := alone(t, thornback.NodeCPUs(1))
	add := task[int](t, client, "add")
	worker := func() cost {
		c, err := submit(t, ctx, task[cost](t, client, "cost")).Get(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	round := func() {
		refs := make([]thornback.Ref[int], tasks)
		for i := range refs {
			refs[i] = submit(t, ctx, add, i, 1)
		}
		sums, err := thornback.GetAll(ctx, refs)
		if err != nil || sums[tasks-1] != tasks {
			t.Fatal(err, sums)
		}
		for _, ref := range refs {
			ref.Close()
		}
	}
	round()
	workerBefore := worker()
	before, err := costHere()
	if err != nil {
		t.Fatal(err)
	}
	round()
	after, err := costHere()
	if err != nil {
		t.Fatal(err)
	}
	workerAfter := worker()

	for _, c := range []struct {
		what        string
		from, until uint64
		most        float64
	}{
		{"allocations of the driver", before.Mallocs, after.Mallocs, driverAllocations},
		{"allocations of the worker", workerBefore.Mallocs, workerAfter.Mallocs, workerAllocations},
		// Tasks and answers go together; a machine that is busy with something else may part them.
		{"writes of the driver", before.Writes, after.Writes, 0.1},
		{"writes of the worker", workerBefore.Writes, workerAfter.Writes, 0.3},
	} {
		each := float64(c.until-c.from) / tasks
		t.Logf("%s: %.3f a task", c.what, each)
		if each > c.most {
			t.Errorf("%s: %.3f a task, want at most %.3f", c.what, each, c.most)
		}
	}
}
