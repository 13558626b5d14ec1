//go:build !race

package thornback_test

// What a task may allocate, with a little room.
const (
	driverAllocations = 100
	workerAllocations = 100
)
