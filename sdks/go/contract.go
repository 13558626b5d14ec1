package thornback

import (
	"context"
	"errors"
	"reflect"

	"thornback.dev/go/internal/pb"
)

// Contract is what an interface says of a function, of a class and its constructor, or of a method. Code that `thornback gen --lang go` wrote has one for each, made
// with package wit; there is no need to make one by hand. It may be used from several goroutines.
type Contract struct {
	// Name under which it is served and called.
	Name string
	// Signature is the canonical text that both sides compare; a method has none of its own.
	Signature string
	// Actor says that it is a class.
	Actor bool
	// Params are its parameters, all of which are given, by position.
	Params []ContractType
	// Result is what it gives, or each item of its stream; of a class nothing.
	Result ContractType
}

// ContractType makes portable values of Go's, and Go's of portable ones. The errors name the path to what does not fit.
type ContractType struct {
	Write func(value any) (any, error)
	Read  func(value any) (any, error)
}

// ContractMethod is a method of a contract and the function that serves it, whose first parameter is the instance.
type ContractMethod struct {
	Contract *Contract
	Fn       any
}

// NewContractTask is NewTask for a function of an interface: the call fails with CodeSignatureMismatch, and runs nothing, where another signature is served.
func NewContractTask[T any](client *Client, contract *Contract, options ...Option) (*Task[T], error) {
	c, err := contract.callable(client.link, scopeTask, options)
	if err != nil {
		return nil, err
	}
	return &Task[T]{c}, nil
}

// NewContractClass is NewClass for a class of an interface.
func NewContractClass(client *Client, contract *Contract, options ...Option) (*Class, error) {
	c, err := contract.callable(client.link, scopeActor, options)
	if err != nil {
		return nil, err
	}
	return &Class{c}, nil
}

// NewContractMethod is NewMethod for a method of an interface.
func NewContractMethod[T any](actor *Actor, contract *Contract, options ...Option) (*Method[T], error) {
	m, err := NewMethod[T](actor, contract.Name, options...)
	if err != nil {
		return nil, err
	}
	m.callable.contract = contract
	return m, nil
}

// RegisterContract is Register for a function of an interface: it is given what the interface says, and arguments that do not fit never reach it.
func (w *Worker) RegisterContract(contract *Contract, fn any) {
	f, err := newFunction(contract.Name, fn)
	if err == nil {
		err = f.follow(contract)
	}
	if err != nil {
		w.errs = append(w.errs, err)
		return
	}
	if w.take(contract.Name) {
		w.functions[contract.Name] = f
	}
}

// RegisterContractActor is RegisterActor for a class of an interface.
func (w *Worker) RegisterContractActor(contract *Contract, constructor any, methods ...ContractMethod) {
	c, err := newContractClass(contract, constructor, methods)
	if err != nil {
		w.errs = append(w.errs, err)
		return
	}
	if w.take(contract.Name) {
		w.classes[contract.Name] = c
	}
}

func newContractClass(contract *Contract, constructor any, methods []ContractMethod) (*class, error) {
	f, err := newFunction(contract.Name, constructor)
	if err == nil {
		err = f.follow(contract)
	}
	if err != nil {
		return nil, err
	}
	c := &class{name: contract.Name, constructor: f, methods: map[string]*function{}, spelled: map[string]*function{}}
	for _, m := range methods {
		name := m.Contract.Name
		method, err := analyse(contract.Name+"."+name, reflect.ValueOf(m.Fn), true)
		if err == nil {
			err = method.follow(m.Contract)
		}
		if err != nil {
			return nil, err
		}
		c.methods[name] = method
	}
	return c, nil
}

// follow makes a function one of an interface.
func (f *function) follow(contract *Contract) error {
	if len(f.params) != len(contract.Params) || f.variadic != nil || f.keywords {
		return invalid("%q: the function does not have the %d parameters that its interface says", contract.Name, len(contract.Params))
	}
	f.contract = contract
	return nil
}

// CheckActor says whether an actor is one of the class, as far as it is known.
func (c *Contract) CheckActor(actor *Actor) error {
	if actor.class != "" && actor.class != c.Name {
		return invalid("the actor is a %s, and no %s", actor.class, c.Name)
	}
	return nil
}

func (c *Contract) callable(l *link, scope optionScope, options []Option) (*callable, error) {
	made, err := newCallable(l, c.Name, scope, options)
	if err != nil {
		return nil, err
	}
	made.contract = c
	made.options.declare.Signature = c.Signature
	return made, nil
}

func (c *Contract) signature() string {
	if c == nil {
		return ""
	}
	return c.Signature
}

// encode makes arguments portable. Refs pass: what they stand for is looked at where it arrives.
func (c *Contract) encode(args []any) ([]any, error) {
	if c == nil {
		return args, nil
	}
	if len(args) != len(c.Params) {
		e := failed(CodeWrongArity, "%s takes %d arguments, and was given %d", c.Name, len(c.Params), len(args))
		e.Details = map[string]string{"function": c.Name}
		return nil, e
	}
	portable := make([]any, len(args))
	for i, arg := range args {
		if _, ok := arg.(AnyRef); ok {
			portable[i] = arg
			continue
		}
		value, err := c.Params[i].Write(arg)
		if err != nil {
			return nil, unfit(err)
		}
		portable[i] = value
	}
	return portable, nil
}

// give makes a result portable, or an item.
func (c *Contract) give(value any) (any, error) {
	if c == nil || c.Result.Write == nil {
		return value, nil
	}
	portable, err := c.Result.Write(value)
	if err != nil {
		return nil, unfit(err)
	}
	return portable, nil
}

// unfit is the error of a value that is not what an interface says.
func unfit(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	e := invalid("%v", err)
	e.wrapped = err
	return e
}

// readAs reads a slot that is ready as what an interface says.
func readAs[T any](ctx context.Context, s *slot, as *Contract) (T, error) {
	var none T
	var portable any
	if err := s.read(ctx, &portable); err != nil {
		return none, err
	}
	if as.Result.Read == nil {
		return none, invalid("%s gives nothing that could be read", as.Name)
	}
	read, err := as.Result.Read(portable)
	if err != nil {
		return none, unfit(err)
	}
	value, ok := read.(T)
	if !ok {
		return none, invalid("%s gives a %T, and was read as a %T", as.Name, read, none)
	}
	return value, nil
}

// announced is what a pool is said to serve.
func announced(contracts []*Contract) []*pb.Function {
	var all []*pb.Function
	for _, c := range contracts {
		n := len(c.Params)
		all = append(all, &pb.Function{Name: c.Name, MinArgs: uint32(n), MaxArgs: int32(n), Actor: c.Actor, Signature: c.Signature})
	}
	return all
}
