package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"math/big"
	"strconv"
	"time"

	thornback "thornback.dev/go"
)

// digestAbove is the length of bytes above which they are told by their digest.
const digestAbove = 1024

func pattern(size, seed int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte((31*i + seed) % 251)
	}
	return data
}

// read makes a value of the suite's notation.
func (d *driver) read(notation json.RawMessage) (any, error) {
	var one map[string]json.RawMessage
	if err := json.Unmarshal(notation, &one); err != nil || len(one) != 1 {
		return nil, fmt.Errorf("%s is no value", notation)
	}
	for kind, body := range one {
		value, err := d.readKind(kind, body)
		if err != nil {
			return nil, fmt.Errorf("in %.200s: %w", notation, err)
		}
		return value, nil
	}
	return nil, nil
}

func (d *driver) readKind(kind string, body json.RawMessage) (any, error) {
	switch kind {
	case "nil":
		return nil, nil
	case "bool":
		return as[bool](body)
	case "unencodable":
		return make(chan int), nil
	case "list":
		return d.readList(body)
	case "map":
		return d.readMap(body)
	case "pattern":
		p, err := as[struct{ Size, Seed int }](body)
		return pattern(p.Size, p.Seed), err
	case "timestamp":
		parts, err := as[[2]int64](body)
		return time.Unix(parts[0], parts[1]), err
	}
	text, err := as[string](body)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "str":
		return text, nil
	case "int":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
		return strconv.ParseUint(text, 10, 64)
	case "bigint":
		if n, ok := new(big.Int).SetString(text, 10); ok {
			return n, nil
		}
	case "float":
		bits, err := strconv.ParseUint(text, 16, 64)
		return math.Float64frombits(bits), err
	case "bytes":
		return hex.DecodeString(text)
	case "uuid":
		return thornback.ParseUUID(text)
	case "ref":
		return lookUp[thornback.Ref[any]](d, text)
	case "actor":
		return lookUp[*thornback.Actor](d, text)
	}
	return nil, fmt.Errorf("%q is no kind of value, or no such value", kind)
}

func as[T any](body json.RawMessage) (value T, err error) {
	err = json.Unmarshal(body, &value)
	return value, err
}

func (d *driver) readList(body json.RawMessage) (any, error) {
	items, err := as[[]json.RawMessage](body)
	list := make([]any, len(items))
	for i := 0; i < len(items) && err == nil; i++ {
		list[i], err = d.read(items[i])
	}
	return list, err
}

func (d *driver) readMap(body json.RawMessage) (any, error) {
	entries, err := as[[][2]json.RawMessage](body)
	m := make(thornback.Map, len(entries))
	for i := 0; i < len(entries) && err == nil; i++ {
		if m[i].Key, err = d.read(entries[i][0]); err == nil {
			m[i].Value, err = d.read(entries[i][1])
		}
	}
	return m, err
}

// tell writes a value in the suite's notation. What the SDK gives is of the types that the package's documentation lists.
func (d *driver) tell(value any) (map[string]any, error) {
	one := func(kind string, body any) (map[string]any, error) { return map[string]any{kind: body}, nil }
	switch v := value.(type) {
	case nil:
		return one("nil", nil)
	case bool:
		return one("bool", v)
	case int64:
		return one("int", strconv.FormatInt(v, 10))
	case uint64:
		return one("int", strconv.FormatUint(v, 10))
	case *big.Int:
		return one("bigint", v.String())
	case float64:
		return one("float", fmt.Sprintf("%016x", math.Float64bits(v)))
	case string:
		return one("str", v)
	case []byte:
		if len(v) > digestAbove {
			return one("digest", map[string]any{"size": len(v), "crc32": fmt.Sprintf("%08x", crc32.ChecksumIEEE(v))})
		}
		return one("bytes", hex.EncodeToString(v))
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			told, err := d.tell(item)
			if err != nil {
				return nil, err
			}
			items[i] = told
		}
		return one("list", items)
	case map[string]any:
		entries := thornback.Map{}
		for key, item := range v {
			entries = append(entries, thornback.Entry{Key: key, Value: item})
		}
		return d.tell(entries)
	case map[any]any:
		entries := thornback.Map{}
		for key, item := range v {
			entries = append(entries, thornback.Entry{Key: key, Value: item})
		}
		return d.tell(entries)
	case thornback.Map:
		entries := make([][2]any, len(v))
		for i, entry := range v {
			key, err := d.tell(entry.Key)
			if err != nil {
				return nil, err
			}
			item, err := d.tell(entry.Value)
			if err != nil {
				return nil, err
			}
			entries[i] = [2]any{key, item}
		}
		return one("map", entries)
	case thornback.UUID:
		return one("uuid", v.String())
	case time.Time:
		return one("timestamp", [2]int64{v.Unix(), int64(v.Nanosecond())})
	case thornback.Ref[any]:
		return one("ref", d.find(v))
	case *thornback.Actor:
		return one("actor", d.find(v))
	}
	return nil, fmt.Errorf("a value of type %T came back, which has no notation", value)
}

// find names what was found inside a value.
func (d *driver) find(t thing) string {
	d.found++
	name := fmt.Sprintf("found%d", d.found)
	d.bind(name, t)
	return name
}
