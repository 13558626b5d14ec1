//go:build race

package thornback_test

// The race detector has pools lose what is put into them, and counts allocations of its own.
const (
	driverAllocations = 100
	workerAllocations = 100
)
