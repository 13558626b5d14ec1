// Package wit holds what code needs that `thornback gen --lang go` wrote: a Codec for each type of an interface, which makes portable values of Go's and
// reads them again, and what puts codecs together. Programs seldom name it: Result and Arg are what they meet.
//
// A value that does not fit is an error that begins with the path to it, as "resize.options.width: 70000 is not a u16". The package knows no session, and
// sends nothing.
package wit

import (
	"fmt"
	"math"
	"unicode/utf8"

	thornback "thornback.dev/go"
)

// Codec writes a type of an interface as a portable value, and reads it.
type Codec[T any] struct {
	write func(value T, path string) (any, error)
	read  func(value any, path string) (T, error)
	// Whether a record's field of it may be missing.
	optional bool
}

func misfit(path string, value any, want string) error {
	return fmt.Errorf("%s: %s is not %s", path, show(value), want)
}

// show is a value in a few words.
func show(value any) string {
	switch v := value.(type) {
	case nil:
		return "nothing"
	case string:
		if len(v) > 40 {
			return fmt.Sprintf("%.40q…", v)
		}
		return fmt.Sprintf("%q", v)
	case bool, int64, uint64, float64:
		return fmt.Sprint(v)
	case []byte:
		return fmt.Sprintf("%d bytes", len(v))
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	case map[string]any:
		return fmt.Sprintf("a map of %d", len(v))
	}
	return fmt.Sprintf("a %T", value)
}

// exactly makes a codec of a type that is itself portable.
func exactly[T any](want string) Codec[T] {
	return Codec[T]{
		write: func(value T, _ string) (any, error) { return value, nil },
		read: func(value any, path string) (T, error) {
			v, ok := value.(T)
			if !ok {
				return v, misfit(path, value, want)
			}
			return v, nil
		},
	}
}

// Bool, String and Bytes are what they are called; Bytes is `list<u8>`.
var (
	Bool  = exactly[bool]("a bool")
	Bytes = Codec[[]byte]{
		write: func(value []byte, _ string) (any, error) {
			if value == nil {
				value = []byte{}
			}
			return value, nil
		},
		read: exactly[[]byte]("bytes").read,
	}
	String = Codec[string]{
		write: func(value, path string) (any, error) {
			if !utf8.ValidString(value) {
				return nil, misfit(path, value, "a string, which is UTF-8")
			}
			return value, nil
		},
		read: exactly[string]("a string").read,
	}
)

// Integers.
var (
	U8  = unsigned[uint8]("a u8", math.MaxUint8)
	U16 = unsigned[uint16]("a u16", math.MaxUint16)
	U32 = unsigned[uint32]("a u32", math.MaxUint32)
	U64 = unsigned[uint64]("a u64", math.MaxUint64)
	S8  = signed[int8]("an s8", math.MinInt8, math.MaxInt8)
	S16 = signed[int16]("an s16", math.MinInt16, math.MaxInt16)
	S32 = signed[int32]("an s32", math.MinInt32, math.MaxInt32)
	S64 = signed[int64]("an s64", math.MinInt64, math.MaxInt64)
)

func unsigned[T uint8 | uint16 | uint32 | uint64](want string, most uint64) Codec[T] {
	return Codec[T]{
		write: func(value T, _ string) (any, error) { return uint64(value), nil },
		read: func(value any, path string) (T, error) {
			switch v := value.(type) {
			case int64:
				if v >= 0 && uint64(v) <= most {
					return T(v), nil
				}
			case uint64:
				if v <= most {
					return T(v), nil
				}
			}
			return 0, misfit(path, value, want)
		},
	}
}

func signed[T int8 | int16 | int32 | int64](want string, least, most int64) Codec[T] {
	return Codec[T]{
		write: func(value T, _ string) (any, error) { return int64(value), nil },
		read: func(value any, path string) (T, error) {
			if v, ok := value.(int64); ok && v >= least && v <= most {
				return T(v), nil
			}
			return 0, misfit(path, value, want)
		},
	}
}

// F64 takes integers, too, that it can hold exactly.
var F64 = Codec[float64]{
	write: func(value float64, _ string) (any, error) { return value, nil },
	read: func(value any, path string) (float64, error) {
		switch v := value.(type) {
		case float64:
			return v, nil
		case int64:
			// 2⁶³ as a float would not convert back.
			if f := float64(v); f < 1<<63 && int64(f) == v {
				return f, nil
			}
		case uint64:
			if f := float64(v); f < 1<<64 && uint64(f) == v {
				return f, nil
			}
		}
		return 0, misfit(path, value, "an f64")
	},
}

// F32 rounds what lies between its values, and refuses what is beyond them.
var F32 = Codec[float32]{
	write: func(value float32, _ string) (any, error) { return float64(value), nil },
	read: func(value any, path string) (float32, error) {
		wide, err := F64.read(value, path)
		narrow := float32(wide)
		_, whole := value.(float64)
		if err != nil || math.IsInf(float64(narrow), 0) && !math.IsInf(wide, 0) || !whole && float64(narrow) != wide {
			return 0, misfit(path, value, "an f32")
		}
		return narrow, nil
	},
}

// Char is a Unicode scalar value.
var Char = Codec[rune]{
	write: func(value rune, path string) (any, error) {
		if !utf8.ValidRune(value) {
			return nil, fmt.Errorf("%s: %#x is not a char", path, value)
		}
		return string(value), nil
	},
	read: func(value any, path string) (rune, error) {
		text, ok := value.(string)
		char, size := utf8.DecodeRuneInString(text)
		if !ok || text == "" || size != len(text) {
			return 0, misfit(path, value, "a char")
		}
		return char, nil
	},
}

// Unit is nothing: what a function gives that gives nothing, and what an empty side of a result holds.
type Unit = struct{}

// Nothing is the codec of Unit, which is nil.
var Nothing = Codec[Unit]{
	write: func(Unit, string) (any, error) { return nil, nil },
	read: func(value any, path string) (Unit, error) {
		if value != nil {
			return Unit{}, misfit(path, value, "nothing")
		}
		return Unit{}, nil
	},
}

// List is a `list` of anything but u8.
func List[T any](item Codec[T]) Codec[[]T] {
	return Codec[[]T]{
		write: func(value []T, path string) (any, error) {
			list := make([]any, len(value))
			for i, v := range value {
				portable, err := item.write(v, fmt.Sprintf("%s[%d]", path, i))
				if err != nil {
					return nil, err
				}
				list[i] = portable
			}
			return list, nil
		},
		read: func(value any, path string) ([]T, error) {
			portable, ok := value.([]any)
			if !ok {
				return nil, misfit(path, value, "a list")
			}
			list := make([]T, len(portable))
			for i, v := range portable {
				var err error
				if list[i], err = item.read(v, fmt.Sprintf("%s[%d]", path, i)); err != nil {
					return nil, err
				}
			}
			return list, nil
		},
	}
}

// Option is a pointer, which is nil for none.
func Option[T any](some Codec[T]) Codec[*T] {
	return Codec[*T]{
		optional: true,
		write: func(value *T, path string) (any, error) {
			if value == nil {
				return nil, nil
			}
			return some.write(*value, path)
		},
		read: func(value any, path string) (*T, error) {
			if value == nil {
				return nil, nil
			}
			v, err := some.read(value, path)
			if err != nil {
				return nil, err
			}
			return &v, nil
		},
	}
}

// Some makes an option of a value.
func Some[T any](value T) *T { return &value }

// Result is an answer of one of two kinds: `err` is an answer like any other, and no failure of the task.
type Result[T, E any] struct {
	// Failed says that it holds Err, and not Ok.
	Failed bool
	Ok     T
	Err    E
}

// Ok and Err make results.
func Ok[T, E any](value T) Result[T, E] { return Result[T, E]{Ok: value} }

// Err makes a result that is of the other kind.
func Err[T, E any](value E) Result[T, E] { return Result[T, E]{Failed: true, Err: value} }

// ResultOf is the codec of a Result.
func ResultOf[T, E any](ok Codec[T], err Codec[E]) Codec[Result[T, E]] {
	return Codec[Result[T, E]]{
		write: func(value Result[T, E], path string) (any, error) {
			var portable any
			var failed error
			key := "ok"
			if value.Failed {
				key = "err"
				portable, failed = err.write(value.Err, path+".err")
			} else {
				portable, failed = ok.write(value.Ok, path+".ok")
			}
			return map[string]any{key: portable}, failed
		},
		read: func(value any, path string) (result Result[T, E], failed error) {
			key, held, single := entry(value)
			switch {
			case single && key == "ok":
				result.Ok, failed = ok.read(held, path+".ok")
			case single && key == "err":
				result.Failed = true
				result.Err, failed = err.read(held, path+".err")
			default:
				failed = misfit(path, value, `a result: a map of "ok" or "err"`)
			}
			return result, failed
		},
	}
}

// entry is the only entry of a map.
func entry(value any) (key string, held any, single bool) {
	m, ok := value.(map[string]any)
	if !ok || len(m) != 1 {
		return "", nil, false
	}
	for key, held = range m {
	}
	return key, held, true
}

// Call puts together what an interface says of a function: where it is served, and what it gives.
func Call[T any](name, label, signature string, result Codec[T], params ...Param) *thornback.Contract {
	return &thornback.Contract{Name: name, Signature: signature, Params: typesOf(label, params), Result: typeOf(result, label+"()")}
}

// Class puts together what it says of a class: where it is served, and what its constructor takes.
func Class(name, label, signature string, params ...Param) *thornback.Contract {
	return &thornback.Contract{Name: name, Signature: signature, Actor: true, Params: typesOf(label, params)}
}

// Param is a parameter of a function.
type Param struct {
	name string
	of   func(path string) thornback.ContractType
}

// Takes is a parameter of that type.
func Takes[T any](name string, codec Codec[T]) Param {
	return Param{name, func(path string) thornback.ContractType { return typeOf(codec, path) }}
}

func typesOf(label string, params []Param) []thornback.ContractType {
	types := make([]thornback.ContractType, len(params))
	for i, param := range params {
		types[i] = param.of(label + "." + param.name)
	}
	return types
}

func typeOf[T any](codec Codec[T], path string) thornback.ContractType {
	return thornback.ContractType{
		Write: func(value any) (any, error) {
			// A nil interface has lost its type.
			typed, ok := value.(T)
			if !ok && value != nil {
				return nil, misfit(path, value, fmt.Sprintf("a %T", typed))
			}
			return codec.write(typed, path)
		},
		Read: func(value any) (any, error) { return codec.read(value, path) },
	}
}

// Arg is an argument: a value, or a ref to one that the function is given.
type Arg[T any] struct{ arg any }

// Value gives a value.
func Value[T any](value T) Arg[T] { return Arg[T]{value} }

// Of gives what a ref stands for. It need not be there yet, and does not pass through this program.
func Of[T any](ref thornback.Ref[T]) Arg[T] { return Arg[T]{ref} }

// Arg is what a Task takes.
func (a Arg[T]) Arg() any { return a.arg }
