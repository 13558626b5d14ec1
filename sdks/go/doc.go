// Package thornback runs functions on other processes and machines, keeps state in actors, and shares large values by reference; in Go, and between Go and
// any other language.
//
// A driver connects with [Connect], [Local] or [Dial] and submits; a worker serves with [Worker]. The two find each other through a node, which keeps all hard
// state: this package holds ids, encodes values and returns errors. It decides nothing about where and when something runs, and retries nothing: the
// node does. It uses no cgo.
//
//	client, err := thornback.Connect(ctx)
//	add, err := thornback.NewTask[int](client, "add")
//	three, err := add.Submit(ctx, 1, 2)
//	ten, err := add.Submit(ctx, three, 7)
//	n, err := ten.Get(ctx)
//
// # Where to look
//
//   - to call a function: [NewTask], [Task.Submit], [Task.Stream], [Option]
//   - to serve one: [NewWorker], [Worker.Register], [Worker.Serve]
//   - to keep state: [NewClass], [Class.Create], [NewMethod], [Worker.RegisterActor]
//   - to wait for results: [Ref.Get], [GetAll], [Wait], [Stream.All]
//   - to share large values: [Put], [Client.Create], [View], [Tensor]
//   - to say how workers start: [Client.DeclarePool], [ThisProgram]
//   - to reserve resources: [NumCPUs], [Client.CreatePlacementGroup]
//   - to understand an error: [Error], [Code]
//   - to test your own code without a node: package thornbacktest
//
// # Concurrency
//
// Everything on the driver's side may be used from several goroutines. What one goroutine submits is sent in its order, and calls of one client on one
// actor start in it. A [Worker] is set up by one goroutine before [Worker.Serve].
//
// # Contexts
//
// The context of a call ends the wait for its answer, and nothing else; [Deadline] and [Ref.Cancel] are for the task. The context that a worker's function is
// given is cancelled when the task is; it also says which task submits and which one waits, so it is to be passed on.
//
// # Values
//
// Portable are nil, bool, all integers and floats, strings, []byte, slices, arrays, maps, structs (as maps, under the names of their `thornback` or `json` tags),
// [time.Time], [math/big.Int], [UUID], [Ext], [Map], [View], [*Tensor], refs and actor handles, pointers to them, and what has MarshalText. Read into
// any they are nil, bool, int64 (uint64 above its range), float64, string, []byte, []any, map[string]any (map[any]any or [Map] for other keys) and
// the types of this package. An integer that does not fit the type that it is read as is an error, and so is a value of another kind; only an
// integer is also read as a float that holds it exactly.
package thornback
