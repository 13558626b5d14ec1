package thornback

import (
	"context"
	"runtime"
	"sync"
	"time"
)

const (
	// What is read in place is looked at so soon, then more and more seldom while it is still in use.
	collectFirst  = 500 * time.Millisecond
	collectSeldom = 30 * time.Second
	// How long room is waited for before garbage is thought to be in the way. The node waits ten seconds before it says STORE_FULL (DATA-020).
	collectAfter = 100 * time.Millisecond
	// At least so much time passes between two collections for each moment that one takes: they may cost 2 % of a core.
	collectShare = 50
)

// collector has garbage collected that holds room in the object store. Go's own knows nothing of that room: a program that allocates little could keep objects
// that it is done with pinned for minutes, and then nobody on the node finds room.
type collector struct {
	mu   sync.Mutex
	pins int
	// The next look, and the pause before the one after it. Nil while nothing is pinned.
	timer *time.Timer
	wait  time.Duration
	// When the last collection ended, and how long it took.
	last time.Time
	took time.Duration
}

// garbage is of the process, as the collector is.
var garbage collector

// pinned says that an object is read in place, until unpinned.
func (c *collector) pinned() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pins++
	if c.timer == nil {
		c.timer = time.AfterFunc(collectFirst, c.look)
	} else if c.wait > collectFirst {
		c.timer.Reset(collectFirst)
	}
	c.wait = collectFirst
}

func (c *collector) unpinned() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pins--
}

func (c *collector) look() {
	c.collect()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pins == 0 {
		c.timer = nil
		return
	}
	c.wait = min(2*c.wait, collectSeldom)
	c.timer.Reset(max(c.wait, collectShare*c.took))
}

func (c *collector) collect() {
	start := time.Now()
	c.mu.Lock()
	due := start.Sub(c.last) >= collectShare*c.took
	if due {
		// Who comes meanwhile need not have it done again.
		c.last = start
	}
	c.mu.Unlock()
	if !due {
		return
	}
	runtime.GC()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = time.Now()
	c.took = c.last.Sub(start)
}

// await waits for what needs room in the store, until ctx is done.
func (c *collector) await(ctx context.Context, done <-chan struct{}) bool {
	patience := time.NewTicker(collectAfter)
	defer patience.Stop()
	for {
		select {
		case <-done:
			return true
		case <-ctx.Done():
			return false
		case <-patience.C:
			c.collect()
		}
	}
}
