//go:build race

package thornback_test

// The race detector has pools lose some of what is put into them.
const (
	driverAllocations = 10
	workerAllocations = 20
)
