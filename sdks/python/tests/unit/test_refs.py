"""Refs inside values: counted once for the process, however many there are, and given back."""

from __future__ import annotations

import gc
import os
import random
from typing import Any

import msgpack
import pytest

import thornback
from tests.unit.peer import Peer
from thornback import _values
from thornback._gen import session_pb2


def packed(ids: list[bytes], *more: Any) -> bytes:
    data: bytes = msgpack.packb([*(msgpack.ExtType(1, id) for id in ids), *more])
    return data


def counted(runtime: Any, peer: Peer) -> tuple[list[bytes], list[bytes]]:
    """What the node was told to count and to drop, in all frames so far."""
    gc.collect()
    end = runtime.put(0).binary()
    runtime.session.flush()
    retained: list[bytes] = []
    dropped: list[bytes] = []
    ended = False
    while not ended:
        for op in peer.frame().ops:
            if op.HasField("refs"):
                retained += op.refs.retain
                dropped += op.refs.drop
            ended = ended or (op.HasField("put") and op.put.object == end)
    return retained, dropped


@pytest.mark.parametrize("count", [1, 15, 16, 17, 5000])
def test_a_list_of_refs_is_counted_and_given_back(peer: Peer, runtime: Any, count: int) -> None:
    ids = [os.urandom(16) for _ in range(count)]
    refs = _values.unpack(packed(ids), runtime)
    assert [ref.binary() for ref in refs] == ids
    assert all(type(ref) is thornback.ObjectRef for ref in refs)
    retained, dropped = counted(runtime, peer)
    assert retained == ids
    assert not set(dropped) & set(ids)
    del refs
    assert set(counted(runtime, peer)[1]) >= set(ids)
    assert not runtime._state.keys() & set(ids)


def test_a_ref_that_comes_twice_counts_once_and_goes_with_the_last(peer: Peer, runtime: Any) -> None:
    ids = [os.urandom(16) for _ in range(20)]
    first = _values.unpack(packed([*ids, ids[3]]), runtime)
    second = _values.unpack(packed(ids[10:]), runtime)
    retained, _ = counted(runtime, peer)
    assert retained == ids
    del first
    assert set(counted(runtime, peer)[1]) & set(ids) == set(ids[:10])
    del second
    assert set(counted(runtime, peer)[1]) & set(ids) == set(ids[10:])
    assert not runtime._extra


def test_what_looks_like_a_list_of_refs_is_read_as_what_it_is(runtime: Any) -> None:
    """The short way is only for lists with nothing but refs in them; whatever else comes, the reader says."""
    chance = random.Random(2)
    ids = [os.urandom(16) for _ in range(20)]
    assert _values._list_of_refs(packed(ids)) == ids
    assert _values._list_of_refs(packed(ids, 1)) is None
    # As long as a ref, and no ref: of another extension, a string, bytes.
    for other in (msgpack.ExtType(64, bytes(16)), "x" * 17, b"x" * 16):
        assert _values._list_of_refs(packed(ids, other)) is None
        assert _values.unpack(packed(ids, other), runtime)[-1] == other
    whole = packed(ids)
    many = ids * 4000
    assert _values._list_of_refs(packed(many)) == many, "of the longer kind"
    for _ in range(500):
        wreck = bytearray(whole)
        at = chance.randrange(3 + 18 * 2) if chance.random() < 0.5 else chance.randrange(len(wreck))
        wreck[at] ^= chance.randrange(1, 256)
        data = bytes(wreck[: chance.randrange(len(wreck))] if chance.random() < 0.2 else wreck)
        said = _values._list_of_refs(data)
        try:
            parsed = msgpack.unpackb(data, strict_map_key=False)
        except Exception:
            assert said is None
            continue
        plain = [item.data for item in parsed if type(item) is msgpack.ExtType and item.code == 1] if type(parsed) is list else []
        if said is not None:
            assert said == plain
            assert len(plain) == len(parsed)


def test_a_watched_ref_of_a_list_is_asked_for_once(peer: Peer, runtime: Any) -> None:
    ids = [os.urandom(16) for _ in range(17)]
    refs = _values.unpack(packed(ids), runtime)
    for _ in range(2):
        assert thornback.wait(refs, timeout=0) == ([], refs)
    asked: list[bytes] = []
    end = runtime.put(0).binary()
    runtime.session.flush()
    while True:
        ops: list[session_pb2.ClientOp] = list(peer.frame().ops)
        asked += [id for op in ops if op.HasField("watch") for id in op.watch.objects]
        if any(op.HasField("put") and op.put.object == end for op in ops):
            break
    assert asked == ids
