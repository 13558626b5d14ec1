package thornback

import (
	"maps"
	"math"
	"time"

	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/pb"
)

// unit is how amounts of resources are counted: one CPU is 10000 (TASK-006).
const unit = 10_000

const defaultMaxRetries = 3

// Option says how a task, an actor or a method is to run. What does not apply is refused where it is given.
type Option func(*options)

// optionScope says what an option was given to.
type optionScope uint8

const (
	scopeTask optionScope = 1 << iota
	scopeActor
	scopeMethod
)

type options struct {
	scope   optionScope
	declare pb.Declare
	actor   pb.ActorOptions
	amounts map[string]uint64
	retries *int32
	err     error
}

func (o *options) apply(list []Option) error {
	for _, option := range list {
		option(o)
	}
	return o.err
}

func (o *options) refuse(format string, args ...any) {
	if o.err == nil {
		o.err = invalid(format, args...)
	}
}

func (o *options) need(name string, scopes optionScope) bool {
	if o.scope&scopes == 0 {
		what := map[optionScope]string{scopeTask: "a task", scopeActor: "an actor", scopeMethod: "a method"}[o.scope]
		o.refuse("%s is no option of %s", name, what)
		return false
	}
	return true
}

func (o *options) amount(option, resource string, amount float64) {
	if !o.need(option, scopeTask|scopeActor) {
		return
	}
	units := math.Round(amount * unit)
	if !(amount >= 0) || units >= 1<<63 || math.Abs(units-amount*unit) > 1e-6*math.Max(1, units) {
		o.refuse("%s(%v): an amount is at least 0, in steps of 0.0001", option, amount)
		return
	}
	if resource == "" {
		o.refuse("%s: a resource has a name", option)
		return
	}
	if o.amounts == nil {
		o.amounts = map[string]uint64{}
	}
	o.amounts[resource] = uint64(units)
}

func (o *options) count(option string, n, least int, scopes optionScope) int32 {
	if o.need(option, scopes) && (n < least || n > math.MaxInt32) {
		o.refuse("%s(%d): wants at least %d", option, n, least)
	}
	return int32(n)
}

// NumCPUs is how many CPUs a task takes while it runs, or an actor while it lives, in steps of 0.0001. The default is 1 for a task; an actor needs 1 to be
// placed and then holds none.
func NumCPUs(n float64) Option { return func(o *options) { o.amount("NumCPUs", "CPU", n) } }

// NumGPUs is the same for GPUs. The default is 0.
func NumGPUs(n float64) Option { return func(o *options) { o.amount("NumGPUs", "GPU", n) } }

// Memory is how many bytes of memory a task or actor takes. The default is to reserve none.
func Memory(bytes int64) Option {
	return func(o *options) { o.amount("Memory", "memory", float64(bytes)) }
}

// Resource is how much a task or actor takes of a resource that nodes were given under a name, in steps of 0.0001.
func Resource(name string, amount float64) Option {
	return func(o *options) { o.amount("Resource", name, amount) }
}

// MaxRetries is how often a task is run again after its worker or node was lost; -1 is without end. The default is 3; for methods, MaxTaskRetries of the actor.
func MaxRetries(n int) Option {
	return func(o *options) {
		n := o.count("MaxRetries", n, -1, scopeTask|scopeMethod)
		o.retries = &n
	}
}

// RetryErrors also retries failures of user code, from the same budget as MaxRetries.
func RetryErrors() Option {
	return func(o *options) {
		if o.need("RetryErrors", scopeTask|scopeMethod) {
			o.declare.RetryExceptions = true
		}
	}
}

// RetryTypes retries those failures of user code whose types are among these names (Error.Types).
func RetryTypes(names ...string) Option {
	return func(o *options) {
		if o.need("RetryTypes", scopeTask|scopeMethod) {
			o.declare.RetryTypes = append(o.declare.RetryTypes, names...)
		}
	}
}

// Deadline is how long after its submission a task must be over, in whole milliseconds; else it fails with CodeDeadlineExceeded, and is interrupted if it
// runs. The default is none. A deadline of the ctx of a submission does not reach the task.
func Deadline(d time.Duration) Option {
	return func(o *options) {
		if d < time.Millisecond {
			o.refuse("Deadline(%v): wants at least a millisecond", d)
		} else if o.need("Deadline", scopeTask|scopeMethod) {
			o.declare.DeadlineMs = uint64(d.Milliseconds())
		}
	}
}

// Label is what people see in logs, status and errors in place of the function's name.
func Label(text string) Option { return func(o *options) { o.declare.Name = text } }

// InPool has a task or actor run in this pool. The default is any pool that serves the function.
func InPool(name string) Option {
	return func(o *options) {
		if o.need("InPool", scopeTask|scopeActor) {
			o.declare.Pool = name
		}
	}
}

// StreamWindow is how many items a stream's producer may be ahead of its consumer. The default is no bound.
func StreamWindow(items int) Option {
	return func(o *options) {
		o.declare.StreamWindow = uint32(o.count("StreamWindow", items, 1, scopeTask|scopeMethod))
	}
}

// InPlacementGroup has a task or actor take its resources from a bundle of a group; bundle -1 is any that has room.
func InPlacementGroup(group *PlacementGroup, bundle int) Option {
	return func(o *options) {
		if group == nil {
			o.refuse("InPlacementGroup: the group is nil")
			return
		}
		o.declare.Bundle = o.count("InPlacementGroup", bundle, -1, scopeTask|scopeActor)
		o.declare.PlacementGroup = append([]byte(nil), group.id[:]...)
	}
}

// OnNode has a task or actor run on a node (Client.Node); soft lets it run elsewhere if that one is gone or cannot.
func OnNode(node ID, soft bool) Option {
	return func(o *options) {
		if o.need("OnNode", scopeTask|scopeActor) {
			o.declare.Node, o.declare.Soft = append([]byte(nil), node[:]...), soft
		}
	}
}

// Spread has tasks or actors spread over nodes rather than pack.
func Spread() Option {
	return func(o *options) {
		if o.need("Spread", scopeTask|scopeActor) {
			o.declare.Spread = true
		}
	}
}

// ActorName names an actor, so that Client.GetActor finds it. The name belongs to at most one live actor of a namespace.
func ActorName(name string) Option {
	return func(o *options) {
		if o.need("ActorName", scopeActor) {
			o.actor.Name = name
		}
	}
}

// ActorNamespace is where the name is taken. The default is the session's.
func ActorNamespace(namespace string) Option {
	return func(o *options) {
		if o.need("ActorNamespace", scopeActor) {
			o.actor.Namespace = namespace
		}
	}
}

// GetIfExists gives a handle of the actor that has the name already, and creates none, instead of CodeActorNameTaken.
func GetIfExists() Option {
	return func(o *options) {
		if o.need("GetIfExists", scopeActor) {
			o.actor.GetIfExists = true
		}
	}
}

// Detached has an actor live until it is killed, whatever becomes of its creator.
func Detached() Option {
	return func(o *options) {
		if o.need("Detached", scopeActor) {
			o.actor.Detached = true
		}
	}
}

// MaxRestarts is how often an actor is started again after its worker or node was lost; -1 is without end. The default is 0.
func MaxRestarts(n int) Option {
	return func(o *options) { o.actor.MaxRestarts = o.count("MaxRestarts", n, -1, scopeActor) }
}

// MaxTaskRetries is how often calls that ran when the actor was lost are run again; -1 is without end. The default is 0.
func MaxTaskRetries(n int) Option {
	return func(o *options) { o.actor.MaxTaskRetries = o.count("MaxTaskRetries", n, -1, scopeActor) }
}

// MaxConcurrency is how many calls of an actor may run at once. The default is 1.
func MaxConcurrency(n int) Option {
	return func(o *options) { o.actor.MaxConcurrency = uint32(o.count("MaxConcurrency", n, 1, scopeActor)) }
}

// Asynchronous says that the methods of an actor are coroutines, for classes of languages that have such. Go actors need it not.
func Asynchronous() Option {
	return func(o *options) {
		if o.need("Asynchronous", scopeActor) {
			o.actor.Asynchronous = true
		}
	}
}

// MaxPendingCalls is how many calls of one session may wait; one more fails with CodePendingCallsLimit. The default is no bound.
func MaxPendingCalls(n int) Option {
	return func(o *options) { o.actor.MaxPendingCalls = o.count("MaxPendingCalls", n, 1, scopeActor) }
}

// declaration is what to tell the node, without a number.
func (o *options) declaration(function string, returns int32) *pb.Declare {
	declare, _ := proto.Clone(&o.declare).(*pb.Declare)
	declare.Function = function
	declare.Returns = returns
	amounts := o.amounts
	if o.scope != scopeMethod {
		if _, given := amounts["CPU"]; !given {
			amounts = withCPU(amounts)
		}
		declare.Resources = &pb.Resources{Amounts: amounts}
	}
	if len(declare.GetPlacementGroup()) == 0 {
		declare.Bundle = -1
	}
	switch {
	case o.retries != nil:
		declare.MaxRetries = *o.retries
	case o.scope == scopeTask:
		declare.MaxRetries = defaultMaxRetries
	}
	return declare
}

func withCPU(amounts map[string]uint64) map[string]uint64 {
	all := map[string]uint64{"CPU": unit}
	maps.Copy(all, amounts)
	return all
}
