"""The header of a stored object: by hand here, by FlatBuffers' compiler there, and in the protocol's vectors."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import flatbuffers
import pytest

from tests._gen import object_header as generated
from thornback import _arena, _errors, _header, _values

VECTORS = Path(__file__).parents[4] / "protocol" / "vectors" / "object_headers.json"
FORMATS = {"FORMAT_RAW": 1, "FORMAT_MSGPACK": 2, "FORMAT_ARROW": 3, "FORMAT_TENSOR": 4, "FORMAT_PRIVATE": 5}

Parts = tuple[int, str, list[tuple[int, int]]]


def some_parts(count: int) -> list[Parts]:
    """Headers of all kinds: with and without schema and buffers, sizes over 4 GiB."""
    chance = random.Random(7)
    schemas = ["", "x", "python/pickle5", "<f8;(2, 3);(24, 8)", "größer"]
    number = lambda: chance.choice([0, 1, 64, chance.randrange(1 << 20), chance.randrange(1 << 63), (1 << 64) - 1])
    return [
        (chance.randrange(256), chance.choice(schemas), [(number(), number()) for _ in range(1 + chance.choice([0, 1, 2, 3, 50]))])
        for _ in range(count)
    ]


def build(format: int, schema: str, spans: list[tuple[int, int]], device: tuple[int, int] | None = None) -> bytes:
    """The same by the generated code."""
    gen: Any = generated
    builder = flatbuffers.Builder(64)
    name = builder.CreateString(schema) if schema else None
    gen.ObjectHeaderStartBuffersVector(builder, len(spans) - 1)
    for span in reversed(spans[1:]):
        gen.CreateBuffer(builder, *span)
    buffers = builder.EndVector()
    gen.ObjectHeaderStart(builder)
    gen.ObjectHeaderAddFormat(builder, format)
    if name is not None:
        gen.ObjectHeaderAddSchema(builder, name)
    gen.ObjectHeaderAddData(builder, gen.CreateBuffer(builder, *spans[0]))
    gen.ObjectHeaderAddBuffers(builder, buffers)
    if device is not None:
        gen.ObjectHeaderAddDevice(builder, gen.CreateDevice(builder, *device))
    builder.Finish(gen.ObjectHeaderEnd(builder))
    return bytes(builder.Output())


def test_what_is_written_reads_the_same_with_generated_code() -> None:
    for format, schema, spans in some_parts(200):
        header: Any = generated.ObjectHeader.GetRootAs(_header.write(format, schema, spans))  # type: ignore[no-untyped-call]
        assert header.Format() == format
        assert (header.Schema() or b"").decode() == schema
        assert (header.Data().Offset(), header.Data().Length()) == spans[0]
        buffers = [header.Buffers(n) for n in range(header.BuffersLength())]
        assert [(buffer.Offset(), buffer.Length()) for buffer in buffers] == spans[1:]
        assert header.Device() is None


def test_what_generated_code_writes_is_read() -> None:
    for parts in some_parts(200):
        assert _header.read(memoryview(build(*parts))) == parts
        assert _header.read(memoryview(build(*parts, device=(2, 1)))) == parts


def test_what_is_absent_has_its_default() -> None:
    builder = flatbuffers.Builder(64)
    gen: Any = generated
    gen.ObjectHeaderStart(builder)
    builder.Finish(gen.ObjectHeaderEnd(builder))
    assert _header.read(memoryview(bytes(builder.Output()))) == (0, "", [(0, 0)])


def test_structures_lie_where_their_alignment_wants_them() -> None:
    """A verifier of FlatBuffers asks for 8-byte integers at multiples of 8."""
    for format, schema, spans in some_parts(20):
        body = _header.write(format, schema, spans)
        for span in spans:
            packed = span[0].to_bytes(8, "little") + span[1].to_bytes(8, "little")
            assert any(body[at : at + 16] == packed for at in range(0, len(body) - 15, 8))


@pytest.mark.parametrize("case", json.loads(VECTORS.read_text())["cases"], ids=lambda case: case["name"])
def test_vectors(case: Any) -> None:
    header = bytes.fromhex(case["header"])
    size = case["size"]
    if size > 1 << 30:
        # An object of that size is not needed to know what its header says.
        if not case.get("invalid"):
            region = (len(header) + 63) // 64 * 64
            _format, _schema, spans = _header.read(memoryview(header)[4:])
            assert [region + spans[0][0], spans[0][1]] == case["layout"]["data"]
            return
        size = 1 << 20
    data = memoryview(header.ljust(size, b"\0")[:size])
    if case.get("invalid"):
        with pytest.raises(_errors.ProtocolError):
            _arena.parse(data)
        return
    layout = case["layout"]
    format, inband, buffers, schema = _arena.parse(data)
    assert (format, schema) == (FORMATS[layout["format"]], layout["schema"])
    assert len(inband) == layout["data"][1]
    assert [len(buffer) for buffer in buffers] == [length for _, length in layout["buffers"]]


def test_every_byte_flipped_and_every_cut_is_read_or_refused() -> None:
    """Whatever comes, the answer is a value inside the object or a typed error."""
    value = _values.Encoded(_values.PRIVATE, b"abc", [memoryview(bytes(100)), memoryview(bytes(7))], schema="python/pickle5")
    where = _arena.layout(value)
    whole = bytes(_arena.serialise(where, value))
    assert _arena.parse(memoryview(whole))[3] == "python/pickle5"
    chance = random.Random(3)
    wrecks = [whole[:n] for n in range(len(whole))]
    for at in range(len(where.head)):
        for flip in (0x01, 0x80, 0xFF, chance.randrange(1, 256)):
            wreck = bytearray(whole)
            wreck[at] ^= flip
            wrecks.append(bytes(wreck))
    refused = 0
    for wreck in wrecks:
        try:
            _format, inband, buffers, _schema = _arena.parse(memoryview(wreck))
        except _errors.ProtocolError:
            refused += 1
        else:
            assert sum(map(len, [inband, *buffers])) <= len(wreck)
    assert refused > len(whole) // 2


def test_too_many_buffers_are_refused() -> None:
    with pytest.raises(ValueError, match="65537"):
        _header.read(memoryview(_header.write(1, "", [(0, 0)] * 65_538)))


def test_importing_the_package_and_writing_an_object_imports_nothing_that_is_slow_to_import() -> None:
    """Numpy takes longer than everything else together, asyncio a quarter of it; who does not use them does not wait for them."""
    program = (
        "import sys, thornback, thornback._worker, thornback._template; from thornback import _arena, _values;"
        "value = _values.encode(b'x' * 200_000);"
        "_arena.parse(memoryview(_arena.serialise(_arena.layout(value), value)));"
        "print(sorted({'numpy', 'flatbuffers', 'asyncio', 'tempfile'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert said == "[]\n"
