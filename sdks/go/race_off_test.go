//go:build !race

package thornback_test

// What a task may allocate, with a little room. Two of the driver's and one of the worker's are the test's own: arguments in an interface.
const (
	driverAllocations = 6
	workerAllocations = 15
)
