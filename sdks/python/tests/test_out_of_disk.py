"""What happens when neither memory nor disk has room for one more object."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import thornback
from tests.support import MIB, array, get, is_array
from thornback._node import find_binary


@pytest.fixture(autouse=True)
def tiny_disk(start: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose spill directory is a file system with room for 40 MiB, beside the 256 MiB that it leaves alone on any disk.

    It is mounted in a namespace that only that server sees.
    """
    spill = tmp_path / "spill"
    spill.mkdir()
    real = find_binary()
    wrapper = tmp_path / "thornback"
    wrapper.write_text(
        textwrap.dedent(
            f"""\
            #!/bin/sh
            exec unshare --user --map-root-user --mount sh -c 'mount -t tmpfs -o size=296m tmpfs "{spill}" && exec "{real}" "$@"' sh "$@"
            """
        )
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("THORNBACK_BINARY", str(wrapper))
    start(object_store_memory=64 * MIB, spill_dir=str(spill))


def test_out_of_disk_is_a_clear_error_and_nothing_stored_is_lost() -> None:
    """The put that does not fit says so, and what was stored before stays. Once something is dropped there is room again."""
    refs: list[Any] = []
    with pytest.raises(thornback.OutOfDiskError):
        for number in range(40):
            refs.append(thornback.put(array(8, fill=number)))
    assert len(refs) > 8, "memory and disk were both used"
    for number, ref in enumerate(refs):
        try:
            assert is_array(get(ref), 8, fill=number)
        except thornback.StoreFullError:
            # To be read it would have to change places with another, and there is no place. It is not lost: see below.
            continue
    kept = refs[::2]
    del refs, ref
    for _ in range(2):
        for number, ref in enumerate(kept):
            assert is_array(get(ref), 8, fill=2 * number)
    more = [thornback.put(array(8, fill=100 + number)) for number in range(2)]
    for number, ref in enumerate(more):
        assert is_array(get(ref), 8, fill=100 + number)


def test_a_task_whose_result_has_no_room_fails_with_the_same_error() -> None:
    """The worker lives on, and so do the results before."""

    @thornback.remote(max_retries=0)
    def make(fill: int) -> Any:
        return array(8, fill)

    refs = [make.remote(number) for number in range(30)]
    full = 0
    for number, ref in enumerate(refs):
        try:
            assert is_array(get(ref), 8, fill=number)
        except (thornback.OutOfDiskError, thornback.StoreFullError):
            # No room for the result, or none to read back what had to leave for another.
            full += 1
    assert 0 < full < 30
    assert get(thornback.remote(abs).remote(-1)) == 1
