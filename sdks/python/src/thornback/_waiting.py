"""The list that `wait` takes: whether it is one of refs, each once, and how it is parted.

A program that takes a thousand results as they come calls `wait` a thousand times, each time with what the time before left over. To take
the ids out of all those refs again is nearly all that such a call would cost, so what was left over is kept with its ids. It is never
trusted unseen, since lists change: the next list is compared with it, which for the same objects takes a fiftieth of that time.

Nothing in here knows which refs are ready, or waits.
"""

from __future__ import annotations

from collections import deque
from operator import attrgetter
from typing import Any, Final

Known = tuple[list[Any], list[bytes]]
"""Refs that are known to be distinct, and their ids."""

left_over: Final[deque[Known]] = deque(maxlen=1)
"""What the last `wait` left over. Whoever uses it takes it out, so that no other thread changes it meanwhile.

It holds refs, which delays nothing: that a ref is gone takes effect when it is told to the node, and this is emptied right before."""

_id_of: Final = attrgetter("_id")


def known(refs: list[Any]) -> Known:
    """The refs and their ids, as lists of their own. Raises `TypeError` if something else is among them, `ValueError` if one is twice."""
    try:
        last = left_over.pop()
    except IndexError:
        pass
    else:
        # Refs that are equal have the same id.
        if last[0] == refs:
            return last
    try:
        # Only refs and streams have a `_id`, so this checks the types as well.
        ids = list(map(_id_of, refs))
    except AttributeError:
        odd = next(ref for ref in refs if not hasattr(ref, "_id"))
        raise TypeError(f"wait takes refs; the list holds a {type(odd).__name__}") from None
    if len(set(ids)) != len(ids):
        raise ValueError("wait takes each ref once; the list holds duplicates")
    return refs.copy(), ids


def part(refs: list[Any], known: Known, found: list[int]) -> tuple[list[Any], list[Any]]:
    """The refs at the positions in `found`, which are in order, and the rest; the rest of what is known is kept."""
    count = len(found)
    if not count:
        ready, rest = [], refs.copy()
    elif found[-1] == count - 1:
        # The first ones, as they mostly are.
        ready, rest = refs[:count], refs[count:]
        del known[0][:count], known[1][:count]
    else:
        ready = [refs[position] for position in found]
        rest = _without(refs, found)
        known = rest.copy(), _without(known[1], found)
    left_over.append(known)
    return ready, rest


def _without(items: list[Any], positions: list[int]) -> list[Any]:
    rest: list[Any] = []
    start = 0
    for position in positions:
        rest += items[start:position]
        start = position + 1
    rest += items[start:]
    return rest
