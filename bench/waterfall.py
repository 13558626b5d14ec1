"""Where the time of one task goes, from the call in the driver to its result there.

    python bench/waterfall.py [--tasks 3000] [--json FILE] [--plot FILE]

Runs tasks one at a time on a runtime with one CPU, and takes the time (the clock is one for the whole machine) wherever driver and worker
call into the kernel. What lies between the send of one and the receipt of the other is the node's, with the wake-ups on either side of it.
The medians of each part are printed, and drawn (.svg, .png) one below the other as they follow in time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import thornback
from thornback._session.unix import UnixCarrier

PARTS = [
    ("driver", "the call becomes a frame"),
    ("driver", "the frame is sent"),
    ("node", "the node passes it on; the worker wakes"),
    ("worker", "the frame becomes a call"),
    ("worker", "the function runs"),
    ("worker", "its result becomes a frame"),
    ("worker", "the frame is sent"),
    ("node", "the node passes it on; the driver wakes"),
    ("driver", "the frame becomes a value"),
]
"""What happens between two stamps, and where."""

COLOURS = {"driver": "#4c78a8", "node": "#e45756", "worker": "#54a24b"}


def watch_carrier() -> SimpleNamespace:
    """Has the carrier of this process take down when it last received, and when it last began and ended to send."""
    seen = SimpleNamespace(received=0, sending=0, sent=0, ran=[])
    fill, send = UnixCarrier.fill, UnixCarrier.send

    def stamped_fill(carrier: UnixCarrier, timeout: float | None) -> None:
        fill(carrier, timeout)
        seen.received = time.monotonic_ns()

    def stamped_send(carrier: UnixCarrier, body: bytes) -> None:
        seen.sending = time.monotonic_ns()
        send(carrier, body)
        seen.sent = time.monotonic_ns()

    UnixCarrier.fill = stamped_fill  # type: ignore[method-assign]
    UnixCarrier.send = stamped_send  # type: ignore[method-assign]
    # On the class, where other tasks find it: a function of a script brings its own copy of the script's variables along.
    UnixCarrier.seen = seen  # type: ignore[attr-defined]
    return seen


@thornback.remote
def watch_worker() -> None:
    watch_carrier()


@thornback.remote
def timed(number: int) -> int:
    begun = time.monotonic_ns()
    seen = UnixCarrier.seen  # type: ignore[attr-defined]
    if seen.ran:
        # When the one before was sent is known only now.
        seen.ran[-1] += (seen.sending, seen.sent)
    seen.ran.append((seen.received, begun, time.monotonic_ns()))
    return number


@thornback.remote
def tell() -> list[tuple[int, ...]]:
    seen = UnixCarrier.seen  # type: ignore[attr-defined]
    seen.ran[-1] += (seen.sending, seen.sent)
    ran: list[tuple[int, ...]] = seen.ran
    return ran


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=3_000)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw them to this file (.svg, .png)")
    arguments = parser.parse_args()

    thornback.init(num_cpus=1)
    thornback.get(watch_worker.remote())
    seen = watch_carrier()
    here = []
    for number in range(arguments.tasks):
        called = time.monotonic_ns()
        if thornback.get(timed.remote(number)) != number:
            raise RuntimeError("a task gave a wrong result")
        here.append((called, seen.sending, seen.sent, seen.received, time.monotonic_ns()))
    there = thornback.get(tell.remote())
    thornback.shutdown()

    # The driver's first three stamps, the worker's five, the driver's last two.
    both = [driver[:3] + tuple(worker) + driver[3:] for driver, worker in zip(here, there, strict=True)]
    both = both[len(both) // 10 :]
    medians = [statistics.median(line[part + 1] - line[part] for line in both) / 1e3 for part in range(len(PARTS))]
    whole = statistics.median(line[-1] - line[0] for line in both) / 1e3
    figures = [{"where": where, "what": what, "microseconds": took} for (where, what), took in zip(PARTS, medians, strict=True)]
    for (where, what), took in zip(PARTS, medians, strict=True):
        print(f"{where:<8}{what:<42}{took:8.1f} µs")
    print(f"{'':<8}{'the whole':<42}{whole:8.1f} µs")
    if arguments.json:
        arguments.json.write_text(json.dumps({"parts": figures, "whole": whole}, indent=2) + "\n")
    if arguments.plot:
        plot(medians, whole, arguments.plot)
    return 0


def plot(medians: list[float], whole: float, to: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    began = 0.0
    for row, ((where, _), took) in enumerate(zip(PARTS, medians, strict=True)):
        axes.barh(row, took, left=began, color=COLOURS[where])
        axes.text(began + took, row, f" {took:.1f}", va="center", fontsize=8)
        began += took
    axes.set_yticks(range(len(PARTS)), [f"{what}  ({where})" for where, what in PARTS], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="µs", title=f"One task, one at a time: {whole:.0f} µs from call to result (medians)", xlim=(0, 1.08 * began))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(to)


if __name__ == "__main__":
    sys.exit(main())
