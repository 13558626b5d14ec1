package thornback

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"strings"
)

var (
	contextType  = reflect.TypeFor[context.Context]()
	errorType    = reflect.TypeFor[error]()
	keywordsType = reflect.TypeFor[Keywords]()
)

// function is something that can be called with arguments from the wire.
type function struct {
	name     string
	fn       reflect.Value
	ctx      bool
	receiver bool // The first parameter is the instance.
	params   []reflect.Type
	variadic reflect.Type
	keywords bool
	results  int
	err      bool
	// What an interface says of it, if it is of one.
	contract *Contract
	// Where it is defined, for the stack of an error that it returns.
	where string
}

func newFunction(name string, fn any) (*function, error) {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Func || v.IsNil() {
		return nil, invalid("%q: a %T was registered; wanted a function", name, fn)
	}
	return analyse(name, v, false)
}

func analyse(name string, v reflect.Value, receiver bool) (*function, error) {
	t := v.Type()
	f := &function{name: name, fn: v, receiver: receiver, where: whereOf(v)}
	first, last := 0, t.NumIn()
	if receiver {
		first++
	}
	if first < last && t.In(first) == contextType {
		f.ctx = true
		first++
	}
	if last > first && t.In(last-1) == keywordsType {
		f.keywords = true
		last--
	}
	if t.IsVariadic() {
		if last > first {
			f.variadic = t.In(last - 1).Elem()
			last--
		}
	}
	for i := first; i < last; i++ {
		in := t.In(i)
		if in == contextType || in == keywordsType || in.Kind() == reflect.Func || in.Kind() == reflect.Chan {
			return nil, invalid("%q: parameter %d is a %v, which no call can give", name, i, in)
		}
		f.params = append(f.params, in)
	}
	f.results = t.NumOut()
	if f.results > 0 && t.Out(f.results-1) == errorType {
		f.err = true
		f.results--
	}
	return f, nil
}

func whereOf(v reflect.Value) string {
	pc := v.Pointer()
	f := runtime.FuncForPC(pc)
	if f == nil {
		return ""
	}
	file, line := f.FileLine(pc)
	return fmt.Sprintf("%s(...)\n\t%s:%d\n", f.Name(), file, line)
}

func (f *function) minArgs() int { return len(f.params) }

func (f *function) maxArgs() int {
	if f.variadic != nil {
		return -1
	}
	return len(f.params)
}

// checkArity refuses what does not fit, as the node does where it knows the function.
func (f *function) checkArity(positional int, named []string) error {
	if len(named) > 0 && !f.keywords {
		return f.arity("%s takes no argument named %q", f.name, named[0])
	}
	if positional < f.minArgs() || f.variadic == nil && positional > f.maxArgs() {
		want := fmt.Sprint(f.minArgs())
		if f.variadic != nil {
			want = "at least " + want
		}
		return f.arity("%s takes %s arguments, and was given %d", f.name, want, positional)
	}
	return nil
}

func (f *function) arity(format string, args ...any) error {
	e := failed(CodeWrongArity, format, args...)
	e.Details = map[string]string{"function": f.name}
	return e
}

// param is the type of a positional argument.
func (f *function) param(i int) reflect.Type {
	if i < len(f.params) {
		return f.params[i]
	}
	return f.variadic
}

// call runs it. A panic passes through.
func (f *function) call(ctx context.Context, instance reflect.Value, args []reflect.Value, named Keywords) ([]reflect.Value, error) {
	in := make([]reflect.Value, 0, len(args)+3)
	if f.receiver {
		in = append(in, instance)
	}
	if f.ctx {
		in = append(in, reflect.ValueOf(ctx))
	}
	in = append(in, args...)
	if f.keywords {
		in = append(in, reflect.ValueOf(named))
	}
	out := f.fn.Call(in)
	if f.err {
		err, _ := out[f.results].Interface().(error)
		return out[:f.results], err
	}
	return out, nil
}

// class is a type whose instances can be actors.
type class struct {
	name        string
	constructor *function
	// By their names as they are, and by what is the same in every spelling.
	methods, spelled map[string]*function
}

func newClass(name string, constructor any) (*class, error) {
	f, err := newFunction(name, constructor)
	if err != nil {
		return nil, err
	}
	if f.results != 1 {
		return nil, invalid("%q: a constructor gives the instance, and an error if it likes; this one gives %d results", name, f.results)
	}
	t := f.fn.Type().Out(0)
	c := &class{name: name, constructor: f, methods: map[string]*function{}, spelled: map[string]*function{}}
	if t.Kind() == reflect.Interface {
		return nil, invalid("%q: a constructor gives a type with methods, not the interface %v", name, t)
	}
	for i := range t.NumMethod() {
		m := t.Method(i)
		method, err := analyse(name+"."+m.Name, m.Func, true)
		if err != nil {
			continue // It cannot be called from elsewhere, which is no reason not to have it.
		}
		if other := c.spelled[spelling(m.Name)]; other != nil {
			return nil, invalid("%q: the methods %s and %s differ only in spelling", name, other.name, method.name)
		}
		c.methods[m.Name], c.spelled[spelling(m.Name)] = method, method
	}
	return c, nil
}

// spelling makes GetTotal, get_total and getTotal one.
func spelling(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

func (c *class) method(name string) *function {
	if m := c.methods[name]; m != nil {
		return m
	}
	return c.spelled[spelling(name)]
}

// itemsOf makes a stream of what a function gave: an iter.Seq, an iter.Seq2 with errors, or a slice. False if it is none of them.
func itemsOf(v reflect.Value) (iter.Seq2[reflect.Value, error], bool) {
	for v.Kind() == reflect.Interface && !v.IsNil() {
		v = v.Elem()
	}
	t := v.Type()
	switch {
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 || t.Kind() == reflect.Array:
		return func(yield func(reflect.Value, error) bool) {
			for i := range v.Len() {
				if !yield(v.Index(i), nil) {
					return
				}
			}
		}, true
	case t.Kind() != reflect.Func || v.IsNil() || t.NumIn() != 1 || t.NumOut() != 0 || t.In(0).Kind() != reflect.Func:
		return nil, false
	}
	if !t.CanSeq() && !t.CanSeq2() {
		return nil, false
	}
	if t.CanSeq() {
		return func(yield func(reflect.Value, error) bool) {
			for item := range v.Seq() {
				if !yield(item, nil) {
					return
				}
			}
		}, true
	}
	if t.In(0).In(1) != errorType {
		return nil, false
	}
	return func(yield func(reflect.Value, error) bool) {
		for item, second := range v.Seq2() {
			err, _ := second.Interface().(error)
			if !yield(item, err) || err != nil {
				return
			}
		}
	}, true
}
