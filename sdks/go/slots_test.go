package thornback

import (
	"math/rand/v2"
	"testing"
)

// slots is a map, however its ids come: the same changes to a plain map say what each look-up gives.
func TestSlotsAreAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	ids := newIDMaker()
	table, model := newSlots(ids.salt), map[ID]*slot{}
	var known []ID
	for range 3 * slotsPerPage {
		task := ids.next()
		known = append(known, task, task.WithIndex(1), task.WithIndex(2))
	}
	other := newIDMaker()
	for range slotsPerPage {
		known = append(known, other.next().WithIndex(1))
	}
	for range 40 * len(known) {
		id := known[random.IntN(len(known))]
		switch random.IntN(5) {
		case 0, 1:
			s := &slot{id: id}
			table.set(s)
			model[id] = s
		case 2:
			if s := model[id]; s != nil {
				table.remove(s)
				delete(model, id)
			}
		case 3:
			// Another's place is left alone.
			table.remove(&slot{id: id})
		default:
			if table.get(id) != model[id] {
				t.Fatalf("%v: found %v, want %v", id, table.get(id), model[id])
			}
		}
	}
	count := 0
	for s := range table.all() {
		if model[s.id] != s {
			t.Fatalf("%v is there and should not be", s.id)
		}
		count++
	}
	if count != len(model) {
		t.Fatalf("there are %d, want %d", count, len(model))
	}
	for _, s := range model {
		table.remove(s)
	}
	if len(table.pages)+len(table.others) != 0 {
		t.Fatalf("%d pages and %d others are left of nothing", len(table.pages), len(table.others))
	}
}

func TestSmallIntegersAreReadAsByTheDecoder(t *testing.T) {
	for _, data := range [][]byte{
		{}, {0x00}, {0x7f}, {0x80}, {0x90}, {0xc0}, {0xc2}, {0xdf}, {0xe0}, {0xff}, {0xa1, 'x'}, {0xcc, 0xff}, {0xd0, 0x80}, {0xc4, 0x00}, {0x01, 0x01},
		{0xcd, 0xff, 0xff}, {0xd1, 0x80, 0x00}, {0xce, 0xff, 0xff, 0xff, 0xff}, {0xd2, 0x80, 0, 0, 0}, {0xca, 0, 0, 0, 0},
		{0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0}, {0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0}, {0xcb, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		n, ok := smallInt(data)
		d := decoder{data: data}
		value, err := d.anything()
		want, isInt := value.(int64)
		isInt = isInt && err == nil && d.at == len(data)
		if ok != isInt || ok && n != want {
			t.Errorf("% x: %d and %v; the decoder reads %v, %v", data, n, ok, value, err)
		}
	}
}
