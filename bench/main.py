"""Measures the rows of one noun on one system, once, and says each figure as a line of JSON.

`cargo xtask bench` starts this in turn for each system and takes the medians; it can be run by hand as well:

    python bench/main.py --system ray --noun tasks --row "single client tasks sync"

It never compares: it knows one system at a time.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import sys

import rows
import systems
from harness import Row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print all rows as JSON and measure nothing")
    parser.add_argument("--system", choices=[*systems.NAMES, "limits"], help="what to measure")
    parser.add_argument("--noun", choices=rows.NOUNS, help="which rows")
    parser.add_argument("--row", action="append", help="only this row of the noun (may be given more than once)")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a row is repeated for")
    parser.add_argument("--grace", type=float, default=120.0, help="seconds more after which a row is given up and the program ends")
    args = parser.parse_args()
    if args.list:
        print(json.dumps([row.described(noun) for noun in rows.NOUNS for row in rows.load(noun).ROWS]))
        return
    if args.system is None or args.noun is None:
        parser.error("--system and --noun say what to measure")
    noun = rows.load(args.noun)
    chosen = [row for row in noun.ROWS if args.row is None or row.name in args.row]
    system = None if args.noun == "limits" else systems.load(args.system)
    shared = system is not None and not noun.STARTS_ITSELF
    if shared:
        system.start()
    try:
        for row in chosen:
            # A row that hangs ends the program with every thread's stack on standard error, and so frees the turn for the next.
            faulthandler.dump_traceback_later(args.seconds + args.grace, exit=True)
            measure(row, system, args.seconds)
    finally:
        faulthandler.cancel_dump_traceback_later()
        if shared:
            system.stop()


def measure(row: Row, system: systems.System | None, seconds: float) -> None:
    """Measures one row. Its failure is a line as well, and leaves the other rows their turn."""
    try:
        said: dict[str, object] = {"row": row.name, "value": row.measure(system, seconds)}
    except systems.Unsupported as absent:
        said = {"row": row.name, "unsupported": str(absent)}
    except Exception as error:
        said = {"row": row.name, "error": f"{type(error).__name__}: {error}".splitlines()[0]}
    print(json.dumps(said), flush=True)
    # What a row made (refs, actors) goes with its closure; the next one starts without it.
    gc.collect()


if __name__ == "__main__":
    sys.exit(main())
