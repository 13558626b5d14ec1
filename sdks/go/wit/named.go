package wit

import (
	"fmt"
	"slices"
	"strings"
)

// FieldOf is a field of a record T, a part of a tuple T, or a flag of T.
type FieldOf[T any] struct {
	name     string
	optional bool
	write    func(value *T, path string) (any, error)
	read     func(portable any, value *T, path string) error
}

// Field is a field that `at` finds.
func Field[T, F any](name string, codec Codec[F], at func(*T) *F) FieldOf[T] {
	return FieldOf[T]{
		name: name, optional: codec.optional,
		write: func(value *T, path string) (any, error) { return codec.write(*at(value), path) },
		read: func(portable any, value *T, path string) (err error) {
			*at(value), err = codec.read(portable, path)
			return err
		},
	}
}

// Record is a map by the names of its fields.
func Record[T any](name string, fields ...FieldOf[T]) Codec[T] {
	known := make(map[string]bool, len(fields))
	for _, field := range fields {
		known[field.name] = true
	}
	return Codec[T]{
		write: func(value T, path string) (any, error) {
			m := make(map[string]any, len(fields))
			for _, field := range fields {
				portable, err := field.write(&value, path+"."+field.name)
				if err != nil {
					return nil, err
				}
				m[field.name] = portable
			}
			return m, nil
		},
		read: func(portable any, path string) (value T, err error) {
			m, ok := portable.(map[string]any)
			if !ok {
				return value, misfit(path, portable, "a "+name+": a map by the names of its fields")
			}
			for key := range m {
				if !known[key] {
					return value, fmt.Errorf("%s.%s: a %s has no such field", path, key, name)
				}
			}
			for _, field := range fields {
				held, there := m[field.name]
				if !there && !field.optional {
					return value, fmt.Errorf("%s.%s: the field is missing", path, field.name)
				}
				if err := field.read(held, &value, path+"."+field.name); err != nil {
					return value, err
				}
			}
			return value, nil
		},
	}
}

// Tuple is a list of exactly these parts.
func Tuple[T any](parts ...FieldOf[T]) Codec[T] {
	return Codec[T]{
		write: func(value T, path string) (any, error) {
			list := make([]any, len(parts))
			for i, part := range parts {
				portable, err := part.write(&value, fmt.Sprintf("%s[%d]", path, i))
				if err != nil {
					return nil, err
				}
				list[i] = portable
			}
			return list, nil
		},
		read: func(portable any, path string) (value T, err error) {
			list, ok := portable.([]any)
			if !ok || len(list) != len(parts) {
				return value, misfit(path, portable, fmt.Sprintf("a tuple: a list of %d", len(parts)))
			}
			for i, part := range parts {
				if err := part.read(list[i], &value, fmt.Sprintf("%s[%d]", path, i)); err != nil {
					return value, err
				}
			}
			return value, nil
		},
	}
}

// Enum is one of several names.
func Enum[T ~string](name string, labels ...T) Codec[T] {
	want := "a " + name
	return Codec[T]{
		write: func(value T, path string) (any, error) {
			if !slices.Contains(labels, value) {
				return nil, misfit(path, string(value), want)
			}
			return string(value), nil
		},
		read: func(portable any, path string) (T, error) {
			text, ok := portable.(string)
			if !ok || !slices.Contains(labels, T(text)) {
				return "", misfit(path, portable, want)
			}
			return T(text), nil
		},
	}
}

// Flags are any of several names. Each is a Field of a bool.
func Flags[T any](name string, flags ...FieldOf[T]) Codec[T] {
	return Codec[T]{
		write: func(value T, path string) (any, error) {
			set := []any{}
			for _, flag := range flags {
				if is, err := flag.write(&value, path); err != nil {
					return nil, err
				} else if is == true {
					set = append(set, flag.name)
				}
			}
			return set, nil
		},
		read: func(portable any, path string) (value T, err error) {
			list, ok := portable.([]any)
			if !ok {
				return value, misfit(path, portable, "a "+name+": a list of names")
			}
			for i, item := range list {
				at := fmt.Sprintf("%s[%d]", path, i)
				n := slices.IndexFunc(flags, func(flag FieldOf[T]) bool { return flag.name == item })
				if n < 0 {
					return value, misfit(at, item, "a flag of "+name)
				}
				if before, err := flags[n].write(&value, at); err != nil || before == true {
					return value, fmt.Errorf("%s: the flag %s is there twice", at, flags[n].name)
				}
				if err := flags[n].read(true, &value, at); err != nil {
					return value, err
				}
			}
			return value, nil
		},
	}
}

// CaseOf is a case of a variant V.
type CaseOf[V any] struct {
	name  string
	write func(value V, path string) (portable any, is bool, err error)
	read  func(portable any, path string) (V, error)
}

// Case is a case of type C, which holds what `at` finds.
func Case[V, C, H any](name string, codec Codec[H], at func(*C) *H) CaseOf[V] {
	return CaseOf[V]{
		name: name,
		write: func(value V, path string) (any, bool, error) {
			c, is := any(value).(C)
			if !is {
				return nil, false, nil
			}
			portable, err := codec.write(*at(&c), path)
			return portable, true, err
		},
		read: func(portable any, path string) (value V, err error) {
			var c C
			if *at(&c), err = codec.read(portable, path); err != nil {
				return value, err
			}
			value, _ = any(c).(V)
			return value, nil
		},
	}
}

// Bare is a case of type C, which holds nothing.
func Bare[V, C any](name string, _ C) CaseOf[V] {
	return Case[V](name, Nothing, func(*C) *Unit { return &Unit{} })
}

// Variant is a map of one entry: the case, and what it holds or nil.
func Variant[V any](name string, cases ...CaseOf[V]) Codec[V] {
	names := make([]string, len(cases))
	for i, c := range cases {
		names[i] = c.name
	}
	want := fmt.Sprintf("a %s: one of %s", name, strings.Join(names, ", "))
	return Codec[V]{
		write: func(value V, path string) (any, error) {
			for _, c := range cases {
				if portable, is, err := c.write(value, path+"."+c.name); is {
					return map[string]any{c.name: portable}, err
				}
			}
			return nil, misfit(path, any(value), want)
		},
		read: func(portable any, path string) (V, error) {
			if key, held, single := entry(portable); single {
				for _, c := range cases {
					if c.name == key {
						return c.read(held, path+"."+key)
					}
				}
			}
			var none V
			return none, misfit(path, portable, want)
		},
	}
}
