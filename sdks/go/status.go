package thornback

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"thornback.dev/go/internal/pb"
)

func statusRequest() *pb.Request {
	return &pb.Request{Request: &pb.Request_GetStatus{GetStatus: &pb.GetStatus{}}}
}

// Status is totals of a node, as they are at one moment.
type Status struct {
	ServerVersion string
	Node          ID
	Uptime        time.Duration
	// Amounts of resources by name.
	Total, Available map[string]float64
	// Bytes of the object store.
	StoreUsed, StoreCapacity, Spilled uint64

	Sessions, Workers, Nodes                 uint64
	TasksQueued, TasksRunning, TasksFinished uint64
	Actors, Objects                          uint64
	WorkerList                               []WorkerStatus
}

// WorkerStatus is one worker of a node.
type WorkerStatus struct {
	PID  int
	Pool string
	// "starting", "idle", "busy" or "actor".
	State string
	// Bytes of memory.
	RSS uint64
}

// Status asks the node for its totals.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	reply, err := c.link.request(ctx, statusRequest())
	if err != nil {
		return nil, err
	}
	s := reply.GetStatus()
	status := &Status{
		ServerVersion: s.GetServerVersion(), Node: idFrom(s.GetNode()), Uptime: time.Duration(min(s.GetUptimeMs(), math.MaxInt64/1_000_000)) * time.Millisecond,
		Total: amountsOf(s.GetTotal()), Available: amountsOf(s.GetAvailable()),
		StoreUsed: s.GetStoreUsedBytes(), StoreCapacity: s.GetStoreCapacityBytes(), Spilled: s.GetSpilledBytes(),
		Sessions: s.GetSessions(), Workers: s.GetWorkers(), Nodes: s.GetNodes(),
		TasksQueued: s.GetTasksQueued(), TasksRunning: s.GetTasksRunning(), TasksFinished: s.GetTasksFinished(),
		Actors: s.GetActors(), Objects: s.GetObjects(),
	}
	for _, w := range s.GetWorkerList() {
		status.WorkerList = append(status.WorkerList, WorkerStatus{int(w.GetPid()), w.GetPool(), w.GetState(), w.GetRssBytes()})
	}
	return status, nil
}

func amountsOf(r *pb.Resources) map[string]float64 {
	amounts := map[string]float64{}
	for name, units := range r.GetAmounts() {
		amounts[name] = float64(units) / unit
	}
	return amounts
}

// ListState lists live things of one kind ("tasks", "actors", "objects", "workers", "pools", "sessions") as JSON objects with at least "id", at most `limit` of
// them (0 is a number of the server's choice), and says whether there are more.
func (c *Client) ListState(ctx context.Context, kind string, limit int) (items []json.RawMessage, more bool, err error) {
	if limit < 0 || limit > math.MaxInt32 {
		return nil, false, invalid("a list cannot have %d items", limit)
	}
	reply, err := c.link.request(ctx, &pb.Request{Request: &pb.Request_ListState{ListState: &pb.ListState{Kind: kind, Limit: uint32(limit)}}})
	if err != nil {
		return nil, false, err
	}
	for _, item := range reply.GetState().GetItems() {
		items = append(items, json.RawMessage(item))
	}
	return items, reply.GetState().GetTruncated(), nil
}
