package thornback

import (
	"encoding"
	"fmt"
	"math"
	"math/big"
	"reflect"
)

// refTarget is a pointer to something that a ref inside a value can be read into.
type refTarget interface {
	adopt(h *handle)
	extension() int8
}

// into reads the next value as the type of v, which can be set.
func (d *decoder) into(v reflect.Value) error {
	t := v.Type()
	if v.CanAddr() {
		if target, ok := v.Addr().Interface().(refTarget); ok {
			return d.intoRef(target, t)
		}
	}
	if v.Kind() == reflect.Interface && v.NumMethod() == 0 {
		value, err := d.anything()
		if err != nil {
			return err
		}
		if value == nil {
			v.SetZero()
		} else {
			v.Set(reflect.ValueOf(value))
		}
		return nil
	}
	at := d.at
	head, err := d.next()
	if err != nil {
		return err
	}
	if head.kind == tokenNil {
		return setNil(v)
	}
	if v.Kind() == reflect.Pointer {
		switch t.Elem() {
		case bigIntType:
			return d.intoBig(head, v)
		case tensorType:
			return d.intoTensor(head, v)
		case actorType:
			if head.kind != tokenExt || head.ext != extActor {
				return mismatched(head.kind.String(), t)
			}
			actor, err := d.actor(head.bytes)
			if err == nil {
				v.Set(reflect.ValueOf(actor))
			}
			return err
		}
		if v.IsNil() {
			v.Set(reflect.New(t.Elem()))
		}
		d.at = at
		if err := d.enter(); err != nil {
			return err
		}
		err := d.into(v.Elem())
		d.depth--
		return err
	}
	return d.intoValue(head, v)
}

func (d *decoder) intoRef(target refTarget, t reflect.Type) error {
	head, err := d.next()
	if err != nil {
		return err
	}
	if head.kind != tokenExt || head.ext != target.extension() {
		return mismatched(head.kind.String(), t)
	}
	h, err := d.ref(head.bytes)
	target.adopt(h)
	return err
}

func setNil(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		v.SetZero()
		return nil
	case reflect.Struct:
		if v.NumField() == 0 {
			return nil // struct{}: what a function without a result gives.
		}
	}
	return mismatched("nil", v.Type())
}

func (d *decoder) intoValue(head token, v reflect.Value) error {
	t := v.Type()
	switch t {
	case timeType, uuidType, extType:
		if head.kind != tokenExt {
			return mismatched(head.kind.String(), t)
		}
		value, err := d.anyExt(head)
		if err != nil {
			return err
		}
		if reflect.TypeOf(value) != t {
			return mismatched(fmt.Sprintf("a %T", value), t)
		}
		v.Set(reflect.ValueOf(value))
		return nil
	case mapType:
		if head.kind != tokenMap {
			return mismatched(head.kind.String(), t)
		}
		entries, err := d.entries(head.n)
		v.Set(reflect.ValueOf(entries))
		return err
	case viewType:
		if head.kind != tokenBytes {
			return mismatched(head.kind.String(), t)
		}
		d.pinned = true
		v.Set(reflect.ValueOf(View{head.bytes, d.pin}))
		return nil
	case bigIntType:
		return d.intoBig(head, v.Addr())
	}
	switch head.kind {
	case tokenFalse, tokenTrue:
		if v.Kind() != reflect.Bool {
			return mismatched(head.kind.String(), t)
		}
		v.SetBool(head.kind == tokenTrue)
	case tokenUint, tokenInt:
		return intoInt(head, v)
	case tokenFloat:
		if v.Kind() != reflect.Float64 && v.Kind() != reflect.Float32 {
			return mismatched("a float", t)
		}
		v.SetFloat(math.Float64frombits(head.n))
	case tokenString:
		return intoString(head.bytes, v)
	case tokenBytes:
		return d.bytes(head.bytes, v)
	case tokenList:
		return d.intoList(head.n, v)
	case tokenMap:
		return d.intoMap(head.n, v)
	case tokenExt:
		value, err := d.anyExt(head)
		if err != nil {
			return err
		}
		if tensor, ok := value.(*Tensor); ok {
			return d.setTensor(tensor, v)
		}
		return mismatched(fmt.Sprintf("a %T", value), t)
	}
	return nil
}

func intoInt(head token, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n := int64(head.n)
		if head.kind == tokenUint && n < 0 || v.OverflowInt(n) {
			return mismatched("an integer that is out of range", v.Type())
		}
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if head.kind == tokenInt || v.OverflowUint(head.n) {
			return mismatched("an integer that is out of range", v.Type())
		}
		v.SetUint(head.n)
	case reflect.Float64, reflect.Float32:
		// In languages with one kind of literal for both, 2 is often meant as 2.0. Only what keeps its value is taken.
		var f float64
		exact := false
		if head.kind == tokenInt {
			f = float64(int64(head.n))
			exact = int64(f) == int64(head.n)
		} else {
			f = float64(head.n)
			exact = head.n <= 1<<53 || f < 1<<64 && uint64(f) == head.n
		}
		if v.Kind() == reflect.Float32 {
			exact = exact && float64(float32(f)) == f
		}
		if !exact {
			return mismatched("an integer that a float cannot hold exactly", v.Type())
		}
		v.SetFloat(f)
	default:
		return mismatched("an integer", v.Type())
	}
	return nil
}

func intoString(b []byte, v reflect.Value) error {
	if v.CanAddr() && v.Kind() != reflect.String && v.Addr().Type().Implements(textUnmarshalerType) {
		if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(b); err != nil {
			return &mismatch{fmt.Sprintf("the string %q (%v)", b, err), v.Type().String()}
		}
		return nil
	}
	if v.Kind() != reflect.String {
		return mismatched("a string", v.Type())
	}
	v.SetString(string(b))
	return nil
}

// bytes sets raw bytes: a View in place, anything else as a copy.
func (d *decoder) bytes(b []byte, v reflect.Value) error {
	t := v.Type()
	switch {
	case t == viewType:
		d.pinned = true
		v.Set(reflect.ValueOf(View{b, d.pin}))
	case v.Kind() == reflect.Interface && v.NumMethod() == 0:
		v.Set(reflect.ValueOf(append([]byte{}, b...)))
	case v.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		v.SetBytes(append([]byte{}, b...))
	case v.Kind() == reflect.Array && t.Elem().Kind() == reflect.Uint8 && t.Len() == len(b):
		reflect.Copy(v, reflect.ValueOf(b))
	case v.Kind() == reflect.Pointer && t.Elem() != bigIntType && t.Elem() != tensorType:
		if v.IsNil() {
			v.Set(reflect.New(t.Elem()))
		}
		return d.bytes(b, v.Elem())
	default:
		return mismatched(fmt.Sprintf("%d bytes", len(b)), t)
	}
	return nil
}

func (d *decoder) intoList(n uint64, v reflect.Value) error {
	if err := d.enter(); err != nil {
		return err
	}
	switch v.Kind() {
	case reflect.Slice:
		out := reflect.MakeSlice(v.Type(), 0, int(min(n, 1024)))
		zero := reflect.Zero(v.Type().Elem())
		for i := range int(n) {
			out = reflect.Append(out, zero)
			if err := d.into(out.Index(i)); err != nil {
				return err
			}
		}
		v.Set(out)
	case reflect.Array:
		if uint64(v.Len()) != n {
			return mismatched(fmt.Sprintf("a list of %d", n), v.Type())
		}
		for i := range v.Len() {
			if err := d.into(v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		// A tuple of another language.
		info := fieldsOf(v.Type())
		if uint64(len(info.list)) != n || n == 0 {
			return mismatched(fmt.Sprintf("a list of %d", n), v.Type())
		}
		for _, f := range info.list {
			if err := d.into(v.FieldByIndex(f.index)); err != nil {
				return err
			}
		}
	default:
		return mismatched("a list", v.Type())
	}
	d.depth--
	return nil
}

func (d *decoder) intoMap(n uint64, v reflect.Value) error {
	if err := d.enter(); err != nil {
		return err
	}
	switch v.Kind() {
	case reflect.Map:
		t := v.Type()
		out := reflect.MakeMapWithSize(t, int(min(n, 1024)))
		for range n {
			key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			if err := d.into(key); err != nil {
				return err
			}
			if !key.Comparable() {
				return mismatched("a map whose keys cannot be compared", t)
			}
			if err := d.into(value); err != nil {
				return err
			}
			out.SetMapIndex(key, value)
		}
		v.Set(out)
	case reflect.Struct:
		info := fieldsOf(v.Type())
		for range n {
			key, err := d.anything()
			if err != nil {
				return err
			}
			name, ok := key.(string)
			at, known := info.byName[name]
			if !ok || !known {
				if _, err := d.anything(); err != nil {
					return err
				}
				continue
			}
			if err := d.into(v.FieldByIndex(info.list[at].index)); err != nil {
				return err
			}
		}
	default:
		return mismatched("a map", v.Type())
	}
	d.depth--
	return nil
}

func (d *decoder) intoBig(head token, v reflect.Value) error {
	n := new(big.Int)
	switch {
	case head.kind == tokenUint:
		n.SetUint64(head.n)
	case head.kind == tokenInt:
		n.SetInt64(int64(head.n))
	case head.kind == tokenExt && head.ext == extBigInt:
		var err error
		if n, err = bigInt(head.bytes); err != nil {
			return err
		}
	default:
		return mismatched(head.kind.String(), v.Type())
	}
	if v.CanSet() {
		v.Set(reflect.ValueOf(n))
	} else {
		v.Interface().(*big.Int).Set(n)
	}
	return nil
}

func (d *decoder) intoTensor(head token, v reflect.Value) error {
	if head.kind != tokenExt || head.ext != extTensor {
		return mismatched(head.kind.String(), v.Type())
	}
	t, err := d.tensor(head.bytes)
	if err != nil {
		return err
	}
	v.Set(reflect.ValueOf(t))
	return nil
}

// setTensor sets a tensor, or the elements of one of one dimension.
func (d *decoder) setTensor(t *Tensor, v reflect.Value) error {
	t.pin, d.pinned = d.pin, true
	if err := t.check(); err != nil {
		return err
	}
	switch {
	case v.Type() == reflect.TypeFor[*Tensor]() || v.Kind() == reflect.Interface && v.NumMethod() == 0:
		v.Set(reflect.ValueOf(t))
		return nil
	case v.Kind() == reflect.Slice && len(t.Shape) == 1:
		if elements, ok := elementsFor(t, v.Type().Elem()); ok {
			v.Set(elements)
			return nil
		}
	}
	return mismatched(fmt.Sprintf("a tensor of %q and shape %v", t.DType, t.Shape), v.Type())
}

// elementsFor is a copy of a tensor's elements as a slice of plain numbers.
func elementsFor(t *Tensor, element reflect.Type) (reflect.Value, bool) {
	switch element {
	case reflect.TypeFor[float64]():
		return copied[float64](t)
	case reflect.TypeFor[float32]():
		return copied[float32](t)
	case reflect.TypeFor[int64]():
		return copied[int64](t)
	case reflect.TypeFor[int32]():
		return copied[int32](t)
	case reflect.TypeFor[uint8]():
		return copied[uint8](t)
	}
	return reflect.Value{}, false
}

func copied[E Element](t *Tensor) (reflect.Value, bool) {
	elements, err := Elements[E](t)
	if err != nil {
		return reflect.Value{}, false
	}
	return reflect.ValueOf(append([]E{}, elements...)), true
}

var actorType = reflect.TypeFor[Actor]()
