"""The pipeline from Python, on the node that THORNBACK_ADDRESS names. No value comes here but the page at the end.

python driver.py [DIRECTORY] [--out FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import thornback

tokenise = thornback.function("text.tokenise")
count = thornback.function("terms.count")
score = thornback.function("terms.score")
cluster = thornback.function("documents.cluster")
render = thornback.function("report.render")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", nargs="?", type=Path, default="docs")
    parser.add_argument("--out", type=Path, default="polyglot.html")
    arguments = parser.parse_args()

    thornback.init()
    # Workers need not have the same working directory.
    files = sorted(str(path) for path in arguments.directory.resolve().rglob("*") if path.suffix in (".md", ".txt"))
    counted = [count.remote(tokenise.remote(file)) for file in files]
    scores = score.remote(counted)
    page = thornback.get(render.remote(scores, cluster.remote(scores)))
    arguments.out.write_text(page)
    print(f"{len(files)} documents from Python: {arguments.out}")
    thornback.shutdown()


if __name__ == "__main__":
    main()
