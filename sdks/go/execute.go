package thornback

import (
	"context"
	"errors"
	"reflect"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

// run executes what comes, in the order in which it came: tasks one at a time, calls of an actor as many at once as it allows.
func (in *inbox) run() {
	var room chan struct{}
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		run, d, j, ok := in.next()
		if !ok {
			return
		}
		switch {
		case run.Setup != nil:
			if !in.setUp(&run, d, j) {
				return
			}
			room = make(chan struct{}, max(1, run.Setup.GetMaxConcurrency()))
		case cap(room) > 1:
			room <- struct{}{}
			// A copy: the loop's own stays off the heap where calls come one by one.
			beside := run
			calls.Go(func() {
				in.execute(&beside, d, j)
				<-room
				// The loop may be waiting, with nothing left to send this.
				in.link.sess.Flush()
				in.arrived.Signal()
			})
		default:
			in.execute(&run, d, j)
		}
	}
}

// setUp makes this worker the actor that a run creates. False if it cannot be made: then the worker has no purpose any more (WORKER-040).
func (in *inbox) setUp(run *wire.Run, d *declared, j *job) bool {
	own := &ownActor{id: run.Actor, name: run.Setup.GetName(), restarts: int(run.Setup.GetRestarts())}
	j.actor = own
	if d == nil || d.class == nil {
		in.fail(run, j, in.notServed(d, "class"))
		return false
	}
	own.class = d.class.name
	var instance reflect.Value
	failure := in.protect(j, func() error {
		results, err := in.invoke(run, j, d.class.constructor, reflect.Value{})
		if err != nil {
			return err
		}
		instance = results[0]
		if instance.Kind() == reflect.Pointer && instance.IsNil() {
			return failed(CodeTaskFailed, "the constructor of %s gave nil", d.class.name)
		}
		return nil
	})
	if failure != nil {
		in.fail(run, j, failure)
		return false
	}
	in.mu.Lock()
	in.actor, in.class, in.instance = own, d.class, instance
	in.mu.Unlock()
	in.answer(run, j, []outcome{{value: encoded{Value: nilValue}}})
	return true
}

var nilValue = wire.Value{Format: pb.Format_FORMAT_MSGPACK, Data: []byte{0xc0}}

// execute runs a task or call and answers it.
func (in *inbox) execute(run *wire.Run, d *declared, j *job) {
	f, instance := in.find(run, d)
	if f == nil {
		in.unpin(run.Args)
		in.fail(run, j, in.notServed(d, "function"))
		return
	}
	var outcomes []outcome
	failure := in.protect(j, func() error {
		results, err := in.invoke(run, j, f, instance)
		if err != nil {
			return err
		}
		outcomes, err = in.outcomes(run, d, j, f, results)
		return err
	})
	if failure != nil {
		in.fail(run, j, failure)
		return
	}
	in.answer(run, j, outcomes)
}

// find is what a run calls.
func (in *inbox) find(run *wire.Run, d *declared) (*function, reflect.Value) {
	switch {
	case d == nil:
		return nil, reflect.Value{}
	case run.Actor.IsZero():
		return d.function, reflect.Value{}
	case in.class == nil:
		return nil, reflect.Value{}
	}
	return in.class.method(d.GetFunction()), in.instance
}

func (in *inbox) notServed(d *declared, what string) *pb.Failure {
	name := "what was never declared"
	if d != nil {
		name = d.GetFunction()
	}
	e := failed(CodeFunctionNotFound, "this worker does not serve the %s %q", what, name)
	if in.class != nil {
		e = failed(CodeFunctionNotFound, "the actor class %s has no method %q", in.class.name, name)
	}
	e.Language = language
	e.Details = map[string]string{"function": name}
	return e.toFailure(0)
}

// ownError is an error of the SDK rather than of user code: it goes out with its code.
type ownError struct{ error }

func (e ownError) Unwrap() error { return e.error }

// protect runs user code and gives what to answer if it failed. Nothing that the code does gets past it but the end of the process.
func (in *inbox) protect(j *job, body func() error) (failure *pb.Failure) {
	returned := false
	defer func() {
		if p := recover(); p != nil {
			failure = panicFailure(p)
		} else if !returned {
			failure = failureOf(errors.New("the task ended its goroutine (runtime.Goexit)"), string(debug.Stack()), 0)
		}
	}()
	err := body()
	returned = true
	if err == nil {
		return nil
	}
	var own ownError
	code := j.interrupted.Load()
	switch {
	case code != 0 && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		e := interruption(code, "while it ran")
		e.Language = language
		return e.toFailure(0)
	case errors.As(err, &own):
		return failureOf(own.error, "", causesMax)
	}
	return raised(err, j.where)
}

// invoke reads the arguments and calls.
func (in *inbox) invoke(run *wire.Run, j *job, f *function, instance reflect.Value) ([]reflect.Value, error) {
	j.where = f.where
	args, named, err := in.arguments(run, j, f)
	if err != nil {
		return nil, ownError{err}
	}
	if code := j.interrupted.Load(); code != 0 {
		return nil, ownError{interruption(code, "before it began")}
	}
	var ctx context.Context
	if f.ctx {
		ctx = j.context()
	}
	return f.call(ctx, instance, args, named)
}

func (in *inbox) arguments(run *wire.Run, j *job, f *function) (args []reflect.Value, named Keywords, err error) {
	read := 0
	defer func() {
		if err != nil {
			in.unpin(run.Args[read:])
		}
	}()
	positional := 0
	var names []string
	for i := range run.Args {
		if run.Args[i].Keyword == "" {
			positional++
		} else {
			names = append(names, run.Args[i].Keyword)
		}
	}
	if err := f.checkArity(positional, names); err != nil {
		return nil, nil, err
	}
	args = make([]reflect.Value, 0, positional)
	for i := range run.Args {
		arg := &run.Args[i]
		t := reflect.TypeFor[any]()
		if arg.Keyword == "" {
			t = f.param(len(args))
		}
		target := reflect.New(t)
		read = i + 1
		if f.contract != nil && arg.Keyword == "" {
			if err := in.contracted(j, arg, f.contract.Params[len(args)], target.Elem()); err != nil {
				return nil, nil, err
			}
		} else if err := in.argument(j, arg, target.Interface()); err != nil {
			return nil, nil, argError(err, i, arg.Keyword)
		}
		if arg.Keyword == "" {
			args = append(args, target.Elem())
			continue
		}
		if named == nil {
			named = Keywords{}
		}
		named[arg.Keyword] = target.Elem().Interface()
	}
	return args, named, nil
}

func (in *inbox) argument(j *job, arg *wire.Arg, target any) error {
	switch {
	case arg.Kind == wire.ArgValue:
		return decode(&arg.Value, target, in.link, nil)
	case arg.Kind == wire.ArgStored && arg.Stored.Arena != 0:
		return in.link.readPinned(arg.Object, arg.Stored, target)
	case arg.Kind == wire.ArgStored:
		return in.link.readStored(j.context(), arg.Object, target)
	}
	return failed(CodeUnsupportedFormat, "it came in a way that this version does not know")
}

// contracted reads an argument as an interface says.
func (in *inbox) contracted(j *job, arg *wire.Arg, param ContractType, target reflect.Value) error {
	var portable any
	if err := in.argument(j, arg, &portable); err != nil {
		return err
	}
	value, err := param.Read(portable)
	if err != nil {
		return unfit(err)
	}
	if value != nil {
		target.Set(reflect.ValueOf(value))
	}
	return nil
}

// outcome is one result on its way: a value, or that it lies in the store.
type outcome struct {
	value  encoded
	stored bool
}

// outcomes makes the results that the caller asked for of what the function gave.
func (in *inbox) outcomes(run *wire.Run, d *declared, j *job, f *function, results []reflect.Value) ([]outcome, error) {
	switch returns := int(d.GetReturns()); {
	case returns < 0:
		if len(results) != 1 {
			return nil, invalid("%s gave %d results; a stream is one iter.Seq, iter.Seq2 with errors, or slice", f.name, len(results))
		}
		items, ok := itemsOf(results[0])
		if !ok {
			return nil, invalid("%s gave a %v; a stream is an iter.Seq, an iter.Seq2 with errors, or a slice", f.name, results[0].Type())
		}
		return nil, in.produce(run, j, f, items)
	case returns == 0:
		return nil, nil
	case returns == 1:
		v, err := f.contract.give(single(results))
		if err != nil {
			return nil, ownError{err}
		}
		one, err := in.outcome(run, j, 1, v)
		return []outcome{one}, err
	default:
		return in.manyOutcomes(run, j, f, returns, results)
	}
}

func single(results []reflect.Value) any {
	switch len(results) {
	case 0:
		return nil
	case 1:
		return results[0].Interface()
	}
	list := make([]any, len(results))
	for i, r := range results {
		list[i] = r.Interface()
	}
	return list
}

func (in *inbox) manyOutcomes(run *wire.Run, j *job, f *function, returns int, results []reflect.Value) ([]outcome, error) {
	var all []outcome
	add := func(v any) error {
		one, err := in.outcome(run, j, uint32(len(all))+1, v)
		all = append(all, one)
		return err
	}
	if len(results) == returns {
		for _, r := range results {
			if err := add(r.Interface()); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	if len(results) == 1 {
		if items, ok := itemsOf(results[0]); ok {
			if kind := results[0].Kind(); (kind == reflect.Slice || kind == reflect.Array) && results[0].Len() != returns {
				return nil, invalid("%s gave %d results, and the caller wants %d", f.name, results[0].Len(), returns)
			}
			for item, err := range items {
				if err != nil {
					return nil, err
				}
				if err := add(item.Interface()); err != nil {
					return nil, err
				}
				if len(all) == returns {
					break
				}
			}
			// Too few are no error here: the node says of each that is missing that it is (TASK-024).
			return all, nil
		}
	}
	return nil, invalid("%s gave %d results, and the caller wants %d", f.name, len(results), returns)
}

// outcome encodes a result; a large one is stored (WORKER-013).
func (in *inbox) outcome(run *wire.Run, j *job, index uint32, v any) (outcome, error) {
	value, err := encode(v)
	if err != nil {
		return outcome{}, ownError{err}
	}
	if value.Bytes() <= in.link.inlineBytes {
		return outcome{value: value}, nil
	}
	if err := in.link.write(j.context(), run.Task.WithIndex(index), &value, run.Task, run.Attempt); err != nil {
		if j.interrupted.Load() != 0 {
			return outcome{}, context.Canceled
		}
		return outcome{}, ownError{err}
	}
	return outcome{stored: true}, nil
}

// producer paces a stream.
type producer struct {
	window   uint64
	yielded  uint64
	consumed atomic.Uint64
	wake     chan struct{}
}

func (p *producer) resume(consumed uint64) {
	for {
		old := p.consumed.Load()
		if consumed <= old || p.consumed.CompareAndSwap(old, consumed) {
			break
		}
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *producer) far() bool {
	return p.window > 0 && p.yielded >= p.consumed.Load()+p.window
}

// await waits until the consumer is near enough for another item.
func (p *producer) await(j *job) error {
	if !p.far() {
		return nil
	}
	ctx := j.context()
	defer block(ctx, j.link)()
	j.link.sess.Flush()
	for p.far() {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// produce sends the items of a stream as they come.
func (in *inbox) produce(run *wire.Run, j *job, f *function, items func(func(reflect.Value, error) bool)) (err error) {
	ctx := j.context()
	if err := j.stream.await(j); err != nil {
		return err
	}
	items(func(item reflect.Value, itemErr error) bool {
		if itemErr != nil {
			err = itemErr
			return false
		}
		v, err2 := f.contract.give(item.Interface())
		if err2 != nil {
			err = ownError{err2}
			return false
		}
		if err = in.yield(run, j, v); err == nil {
			err = j.stream.await(j)
		}
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err == nil
	})
	return err
}

func (in *inbox) yield(run *wire.Run, j *job, v any) error {
	if err := in.link.sess.WaitRoom(j.context()); err != nil {
		return context.Cause(j.context())
	}
	one, err := in.outcome(run, j, uint32(j.stream.yielded)+1, v)
	if err != nil {
		return err
	}
	msg := wire.AppendID(make([]byte, 0, 64+one.value.Bytes()), 1, run.Task)
	msg = appendNumber(msg, 2, uint64(run.Attempt))
	msg = appendNumber(msg, 3, j.stream.yielded)
	msg = one.append(msg, 4)
	j.stream.yielded++
	if err := in.link.sess.Send(wire.AppendOp(make([]byte, 0, len(msg)+8), opYield, msg)); err != nil {
		return ownError{failed(CodeLimitExceeded, "%v", err)}
	}
	one.value.alive()
	return nil
}

// append appends a Result as field `field`.
func (o *outcome) append(b []byte, field protowire.Number) []byte {
	if o.stored {
		return append(b, byte(field)<<3|2, 2, 2<<3, 1)
	}
	size := o.value.Size()
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(1+protowire.SizeBytes(size)))
	return o.value.AppendField(b, 1)
}

func appendNumber(b []byte, field protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

func (in *inbox) answer(run *wire.Run, j *job, outcomes []outcome) {
	msg := getScratch()
	body := wire.AppendID((*msg)[:0], 1, run.Task)
	body = appendNumber(body, 2, uint64(run.Attempt))
	for i := range outcomes {
		body = outcomes[i].append(body, 3)
	}
	if j.stream != nil {
		body = appendNumber(body, 5, j.stream.yielded)
	}
	*msg = body
	in.finished(j)
	out := getScratch()
	*out = wire.AppendOp((*out)[:0], opDone, body)
	err := in.link.sess.Send(*out)
	putScratch(out)
	putScratch(msg)
	for i := range outcomes {
		outcomes[i].value.alive()
	}
	if err != nil {
		// Each result fits a frame, and all of them do not.
		in.answerFailure(run, failed(CodeLimitExceeded, "the results do not fit a frame together: %v", err).toFailure(0), 0)
	}
}

func (in *inbox) fail(run *wire.Run, j *job, failure *pb.Failure) {
	in.finished(j)
	yielded := uint64(0)
	if j.stream != nil {
		yielded = j.stream.yielded
	}
	in.answerFailure(run, failure, yielded)
}

// finished takes a job off the list: what comes for it later is ignored.
func (in *inbox) finished(j *job) {
	j.finish()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.running[j.task] == j {
		delete(in.running, j.task)
	}
}

func (in *inbox) answerFailure(run *wire.Run, failure *pb.Failure, yielded uint64) {
	// The failure may be another task's, passed on: only what is set here is ours.
	mine, _ := proto.Clone(failure).(*pb.Failure)
	mine.Task, mine.Actor = idBytes(run.Task), idBytes(run.Actor)
	if mine.Language == "" && Code(mine.Code) == CodeTaskFailed {
		mine.Language = language
	}
	done := &pb.Done{Task: run.Task[:], Attempt: run.Attempt, Failure: mine, Yielded: yielded}
	if err := in.link.postMessage(opDone, done); err != nil {
		// Too long for a frame, for all its causes: what matters most is kept.
		done.Failure = withoutCause(mine)
		done.Failure.Stack, done.Failure.Exception, done.Failure.Details = "", nil, nil
		done.Failure.Message = cutMiddle(mine.GetMessage())
		if err := in.link.postMessage(opDone, done); err != nil {
			in.link.notice(invalid("%v", err))
		}
	}
}
