package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	thornback "thornback.dev/go"
)

// features is what the SDK has, which is everything that the suite knows.
var features = []string{
	"actors", "bigint", "busy", "concurrent", "floats", "grpc", "handles", "interrupt", "keywords", "local_unserializable", "nested", "resume", "returns", "stacks",
	"streams", "timestamp", "uuid", "varargs",
}

// command is every command: which of the keys it has depends on what it is to do.
type command struct {
	ID       int64  `json:"id"`
	Do       string `json:"do"`
	Protocol int    `json:"protocol"`

	Address   string  `json:"address"`
	TokenFile string  `json:"token_file"`
	Namespace string  `json:"namespace"`
	As        aliases `json:"as"`

	Names    []string                   `json:"names"`
	Value    json.RawMessage            `json:"value"`
	Function string                     `json:"function"`
	Class    string                     `json:"class"`
	Actor    string                     `json:"actor"`
	Method   string                     `json:"method"`
	Pool     string                     `json:"pool"`
	Args     []json.RawMessage          `json:"args"`
	Keywords map[string]json.RawMessage `json:"keywords"`
	Options  callOptions                `json:"options"`

	Name      string   `json:"name"`
	Refs      []string `json:"refs"`
	TimeoutMs *int64   `json:"timeout_ms"`
	Count     int      `json:"count"`
	Stream    string   `json:"stream"`
	Ref       string   `json:"ref"`
	Force     bool     `json:"force"`
	Recursive bool     `json:"recursive"`
	Restart   bool     `json:"restart"`
	Graceful  bool     `json:"graceful"`
}

type callOptions struct {
	Returns         returns            `json:"returns"`
	MaxRetries      *int               `json:"max_retries"`
	RetryExceptions bool               `json:"retry_exceptions"`
	DeadlineMs      *int64             `json:"deadline_ms"`
	StreamWindow    *int               `json:"stream_window"`
	Resources       map[string]float64 `json:"resources"`
	Name            string             `json:"name"`
	Namespace       string             `json:"namespace"`
	GetIfExists     bool               `json:"get_if_exists"`
	Detached        bool               `json:"detached"`
	MaxRestarts     *int               `json:"max_restarts"`
	MaxTaskRetries  *int               `json:"max_task_retries"`
	MaxConcurrency  *int               `json:"max_concurrency"`
	MaxPendingCalls *int               `json:"max_pending_calls"`
}

// aliases is a name, or a list of them.
type aliases []string

func (a *aliases) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = aliases{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// returns is how many results a call has, or that it has a stream.
type returns struct {
	count  *int
	stream bool
}

func (r *returns) UnmarshalJSON(text []byte) error {
	if string(text) == `"stream"` {
		r.stream = true
		return nil
	}
	return json.Unmarshal(text, &r.count)
}

// driver is the open session, and what the names of the commands stand for.
type driver struct {
	client *thornback.Client
	named  map[string]thing
	found  int
}

// thing is a ref, a stream or an actor.
type thing interface{ Close() }

func drive(ctx context.Context, in io.Reader, out io.Writer) error {
	d := &driver{named: map[string]thing{}}
	defer d.close()
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := json.Marshal(d.answer(ctx, line))
		if err != nil {
			return err
		}
		if _, err := out.Write(append(answer, '\n')); err != nil {
			return err
		}
	}
}

// answer carries a command out. A panic is a defect of the SDK or of these lines, and either is for the suite to see.
func (d *driver) answer(ctx context.Context, line []byte) (answer map[string]any) {
	var c command
	defer func() {
		if p := recover(); p != nil {
			answer = map[string]any{"id": c.ID, "crash": fmt.Sprintf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	strict := json.NewDecoder(bytes.NewReader(line))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&c); err != nil {
		return map[string]any{"id": c.ID, "crash": err.Error()}
	}
	result, err := d.carryOut(ctx, &c)
	var own *thornback.Error
	switch {
	case err == nil:
		return map[string]any{"id": c.ID, "result": result}
	case errors.As(err, &own):
		return map[string]any{"id": c.ID, "failure": failure(err, own)}
	}
	return map[string]any{"id": c.ID, "crash": err.Error()}
}

func failure(err error, e *thornback.Error) map[string]any {
	told := map[string]any{
		"code": e.Code, "message": e.Message, "types": e.Types, "language": e.Language, "stack": e.Stack, "cause": nil,
		"timeout":   errors.Is(err, context.DeadlineExceeded),
		"cancelled": errors.Is(err, context.Canceled),
	}
	if e.Types == nil {
		told["types"] = []string{}
	}
	if e.Cause != nil {
		told["cause"] = failure(e.Cause, e.Cause)
	}
	return told
}

func (d *driver) carryOut(ctx context.Context, c *command) (map[string]any, error) {
	limited := ctx
	if c.TimeoutMs != nil {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, time.Duration(*c.TimeoutMs)*time.Millisecond)
		defer cancel()
	}
	nothing := map[string]any{}
	switch c.Do {
	case "hello":
		return map[string]any{"protocol": 1, "language": "go", "sdk": "thornback-go/" + thornback.Version, "features": features}, nil
	case "open":
		return nothing, d.open(ctx, c)
	case "close":
		d.close()
		return nothing, nil
	case "reset":
		d.reset()
		return nothing, nil
	case "drop":
		for _, name := range c.Names {
			d.bind(name, nil)
		}
		return nothing, nil
	case "put":
		return nothing, d.put(ctx, c)
	case "call":
		return nothing, d.call(ctx, c)
	case "create":
		return nothing, d.create(ctx, c)
	case "invoke":
		return nothing, d.invoke(ctx, c)
	case "find":
		actor, err := d.client.GetActor(ctx, c.Name, c.Namespace)
		return nothing, d.bindOne(c, actor, err)
	case "get":
		return d.get(limited, c)
	case "wait":
		return d.wait(ctx, c)
	case "next":
		return d.next(limited, c)
	case "cancel":
		return nothing, d.cancel(ctx, c)
	case "kill":
		return nothing, d.kill(c)
	}
	return nil, fmt.Errorf("there is no command %q", c.Do)
}

func (d *driver) open(ctx context.Context, c *command) error {
	options := []thornback.ConnectOption{thornback.Logs(nil)}
	if c.TokenFile != "" {
		options = append(options, thornback.TokenFile(c.TokenFile))
	}
	if c.Namespace != "" {
		options = append(options, thornback.Namespace(c.Namespace))
	}
	client, err := thornback.Dial(ctx, c.Address, options...)
	d.client = client
	return err
}

func (d *driver) close() {
	d.reset()
	if d.client != nil {
		d.client.Close()
		d.client = nil
	}
}

func (d *driver) reset() {
	for name := range d.named {
		d.bind(name, nil)
	}
}

// bind gives a name to something, and gives up what had it before; nil only gives up.
func (d *driver) bind(name string, t thing) {
	if before := d.named[name]; before != nil {
		before.Close()
	}
	delete(d.named, name)
	if t != nil {
		d.named[name] = t
	}
}

func (d *driver) bindOne(c *command, t thing, err error) error {
	if err != nil {
		return err
	}
	if len(c.As) != 1 {
		return fmt.Errorf("%s wants one name, and has %d", c.Do, len(c.As))
	}
	d.bind(c.As[0], t)
	return nil
}

// lookUp gives what a name stands for.
func lookUp[T thing](d *driver, name string) (T, error) {
	t, ok := d.named[name].(T)
	if !ok {
		return t, fmt.Errorf("%q is a %T, and not a %T", name, d.named[name], t)
	}
	return t, nil
}

func (d *driver) put(ctx context.Context, c *command) error {
	value, err := d.read(c.Value)
	if err != nil {
		return err
	}
	ref, err := thornback.Put(ctx, d.client, value)
	return d.bindOne(c, ref, err)
}

func (d *driver) call(ctx context.Context, c *command) error {
	task, err := thornback.NewTask[any](d.client, c.Function, c.options()...)
	if err != nil {
		return err
	}
	return d.submit(ctx, c, task.Submit, task.SubmitN, task.Stream)
}

func (d *driver) invoke(ctx context.Context, c *command) error {
	actor, err := lookUp[*thornback.Actor](d, c.Actor)
	if err != nil {
		return err
	}
	method, err := thornback.NewMethod[any](actor, c.Method, c.options()...)
	if err != nil {
		return err
	}
	return d.submit(ctx, c, method.Call, method.CallN, method.Stream)
}

// submit calls in the way that suits the number of results.
func (d *driver) submit(
	ctx context.Context, c *command,
	one func(context.Context, ...any) (thornback.Ref[any], error),
	several func(context.Context, int, ...any) ([]thornback.Ref[any], error),
	stream func(context.Context, ...any) (*thornback.Stream[any], error),
) error {
	args, err := d.args(c)
	if err != nil {
		return err
	}
	switch count := c.Options.Returns.count; {
	case c.Options.Returns.stream:
		made, err := stream(ctx, args...)
		return d.bindOne(c, made, err)
	case count == nil || *count == 1:
		made, err := one(ctx, args...)
		return d.bindOne(c, made, err)
	default:
		made, err := several(ctx, *count, args...)
		if err == nil && len(made) != len(c.As) {
			err = fmt.Errorf("%d results and %d names", len(made), len(c.As))
		}
		if err != nil {
			return err
		}
		for i, ref := range made {
			d.bind(c.As[i], ref)
		}
		return nil
	}
}

func (d *driver) args(c *command) ([]any, error) {
	args := make([]any, 0, len(c.Args)+len(c.Keywords))
	for _, notation := range c.Args {
		value, err := d.read(notation)
		if err != nil {
			return nil, err
		}
		args = append(args, value)
	}
	for name, notation := range c.Keywords {
		value, err := d.read(notation)
		if err != nil {
			return nil, err
		}
		args = append(args, thornback.Named(name, value))
	}
	return args, nil
}

func (d *driver) create(ctx context.Context, c *command) error {
	class, err := thornback.NewClass(d.client, c.Class, c.options()...)
	if err != nil {
		return err
	}
	args, err := d.args(c)
	if err != nil {
		return err
	}
	actor, err := class.Create(ctx, args...)
	return d.bindOne(c, actor, err)
}

// options is the suite's options in the SDK's words.
func (c *command) options() []thornback.Option {
	var all []thornback.Option
	given := &c.Options
	number := func(option func(int) thornback.Option, n *int) {
		if n != nil {
			all = append(all, option(*n))
		}
	}
	text := func(option func(string) thornback.Option, s string) {
		if s != "" {
			all = append(all, option(s))
		}
	}
	flag := func(option func() thornback.Option, on bool) {
		if on {
			all = append(all, option())
		}
	}
	text(thornback.InPool, c.Pool)
	number(thornback.MaxRetries, given.MaxRetries)
	flag(thornback.RetryErrors, given.RetryExceptions)
	if given.DeadlineMs != nil {
		all = append(all, thornback.Deadline(time.Duration(*given.DeadlineMs)*time.Millisecond))
	}
	number(thornback.StreamWindow, given.StreamWindow)
	for name, amount := range given.Resources {
		if name == "CPU" {
			all = append(all, thornback.NumCPUs(amount))
		} else {
			all = append(all, thornback.Resource(name, amount))
		}
	}
	text(thornback.ActorName, given.Name)
	text(thornback.ActorNamespace, given.Namespace)
	flag(thornback.GetIfExists, given.GetIfExists)
	flag(thornback.Detached, given.Detached)
	number(thornback.MaxRestarts, given.MaxRestarts)
	number(thornback.MaxTaskRetries, given.MaxTaskRetries)
	number(thornback.MaxConcurrency, given.MaxConcurrency)
	number(thornback.MaxPendingCalls, given.MaxPendingCalls)
	return all
}

func (d *driver) refs(names []string) ([]thornback.Ref[any], error) {
	refs := make([]thornback.Ref[any], len(names))
	for i, name := range names {
		ref, err := lookUp[thornback.Ref[any]](d, name)
		if err != nil {
			return nil, err
		}
		refs[i] = ref
	}
	return refs, nil
}

func (d *driver) get(ctx context.Context, c *command) (map[string]any, error) {
	refs, err := d.refs(c.Refs)
	if err != nil {
		return nil, err
	}
	values, err := thornback.GetAll(ctx, refs)
	if err != nil {
		return nil, err
	}
	told := make([]any, len(values))
	for i, value := range values {
		if told[i], err = d.tell(value); err != nil {
			return nil, err
		}
	}
	return map[string]any{"values": told}, nil
}

func (d *driver) wait(ctx context.Context, c *command) (map[string]any, error) {
	refs, err := d.refs(c.Refs)
	if err != nil {
		return nil, err
	}
	var options []thornback.WaitOption
	if c.TimeoutMs != nil {
		options = append(options, thornback.WaitTimeout(time.Duration(*c.TimeoutMs)*time.Millisecond))
	}
	ready, pending, err := thornback.Wait(ctx, refs, c.Count, options...)
	if err != nil {
		return nil, err
	}
	names := func(some []thornback.Ref[any]) []string {
		list := []string{}
		for _, ref := range some {
			for i := range refs {
				if refs[i] == ref {
					list = append(list, c.Refs[i])
				}
			}
		}
		return list
	}
	return map[string]any{"ready": names(ready), "pending": names(pending)}, nil
}

func (d *driver) next(ctx context.Context, c *command) (map[string]any, error) {
	stream, err := lookUp[*thornback.Stream[any]](d, c.Stream)
	if err != nil {
		return nil, err
	}
	ref, more, err := stream.Next(ctx)
	if err == nil && more {
		err = d.bindOne(c, ref, nil)
	}
	return map[string]any{"item": more}, err
}

func (d *driver) cancel(ctx context.Context, c *command) error {
	var options []thornback.CancelOption
	if c.Force {
		options = append(options, thornback.Force())
	}
	if c.Recursive {
		options = append(options, thornback.Recursive())
	}
	if stream, ok := d.named[c.Ref].(*thornback.Stream[any]); ok {
		return stream.Cancel(ctx, options...)
	}
	ref, err := lookUp[thornback.Ref[any]](d, c.Ref)
	if err != nil {
		return err
	}
	return ref.Cancel(ctx, options...)
}

func (d *driver) kill(c *command) error {
	actor, err := lookUp[*thornback.Actor](d, c.Actor)
	if err != nil {
		return err
	}
	var options []thornback.KillOption
	if c.Restart {
		options = append(options, thornback.Restart())
	}
	if c.Graceful {
		options = append(options, thornback.Graceful())
	}
	return actor.Kill(options...)
}
