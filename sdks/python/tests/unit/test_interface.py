"""What codecs of typed interfaces take for a float."""

from __future__ import annotations

import pytest

import thornback
from thornback.interface import F32, F64


@pytest.mark.parametrize(("codec", "value"), [(F32, 1 << 24), (F64, 1 << 53), (F64, -(1 << 62)), (F32, 0), (F32, 0.1)])
def test_an_integer_that_a_float_holds_exactly_is_one(codec: object, value: float) -> None:
    decoded = codec.decode(value, "x")  # type: ignore[attr-defined]
    assert type(decoded) is float
    assert isinstance(value, float) or decoded == value


@pytest.mark.parametrize(
    ("codec", "value"), [(F32, (1 << 24) + 1), (F64, (1 << 53) + 1), (F64, 1 << 2000), (F32, 1e39), (F32, "1"), (F64, True)]
)
def test_any_other_is_refused_with_its_path(codec: object, value: object) -> None:
    with pytest.raises(thornback.InvalidArgumentError, match=r"^area\.x: "):
        codec.decode(value, "area.x")  # type: ignore[attr-defined]
