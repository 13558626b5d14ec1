package thornback

import (
	"encoding/binary"
	"iter"
)

// slots is the objects that a session knows, by their ids. It locks nothing: the link's mu does.
//
// The ids that a session makes itself follow each other, and the first results of its tasks are nearly all that a driver knows. They lie in pages, by
// their numbers: with hundreds of thousands of them, each look-up in a map would miss the processor's cache. All others are in a map.
type slots struct {
	salt   [8]byte
	pages  map[uint32]*slotPage
	others map[ID]*slot
	// The page that was used last, and its number; nil at first.
	last       *slotPage
	lastNumber uint32
}

const slotsPerPage = 512

type slotPage struct {
	used  int
	slots [slotsPerPage]*slot
}

func newSlots(salt [8]byte) slots {
	return slots{salt: salt, pages: map[uint32]*slotPage{}, others: map[ID]*slot{}}
}

// own is the number of an id that is the first result of this session's.
func (t *slots) own(id *ID) (number uint32, ok bool) {
	const firstResult = 1
	ok = [8]byte(id[:8]) == t.salt && binary.BigEndian.Uint32(id[12:]) == firstResult
	return binary.BigEndian.Uint32(id[8:]), ok
}

func (t *slots) page(number uint32) *slotPage {
	if t.last == nil || t.lastNumber != number {
		page := t.pages[number]
		if page == nil {
			return nil
		}
		t.last, t.lastNumber = page, number
	}
	return t.last
}

// get gives the slot of an id; nil if there is none.
func (t *slots) get(id ID) *slot {
	number, own := t.own(&id)
	if !own {
		return t.others[id]
	}
	page := t.page(number / slotsPerPage)
	if page == nil {
		return nil
	}
	return page.slots[number%slotsPerPage]
}

// set makes s the slot of its id.
func (t *slots) set(s *slot) {
	number, own := t.own(&s.id)
	if !own {
		t.others[s.id] = s
		return
	}
	page := t.page(number / slotsPerPage)
	if page == nil {
		page = &slotPage{}
		t.pages[number/slotsPerPage] = page
		t.last, t.lastNumber = page, number/slotsPerPage
	}
	at := &page.slots[number%slotsPerPage]
	if *at == nil {
		page.used++
	}
	*at = s
}

// remove takes s away, unless another has its place.
func (t *slots) remove(s *slot) {
	if t.get(s.id) != s {
		return
	}
	number, own := t.own(&s.id)
	if !own {
		delete(t.others, s.id)
		return
	}
	page := t.page(number / slotsPerPage)
	page.slots[number%slotsPerPage] = nil
	if page.used--; page.used == 0 {
		delete(t.pages, number/slotsPerPage)
		t.last = nil
	}
}

// all gives every slot, in no order. It may be changed meanwhile as a map may.
func (t *slots) all() iter.Seq[*slot] {
	return func(yield func(*slot) bool) {
		for _, s := range t.others {
			if !yield(s) {
				return
			}
		}
		for _, page := range t.pages {
			for _, s := range page.slots {
				if s != nil && !yield(s) {
					return
				}
			}
		}
	}
}
