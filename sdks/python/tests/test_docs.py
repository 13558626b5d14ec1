"""The pages of `docs/` are programs: each is run from top to bottom as one script, and must print what it says."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PYTHON = REPOSITORY / "sdks/python"
PAGES = sorted(
    page
    for page in [PYTHON / "README.md", *(REPOSITORY / "docs").glob("guides/*.md"), *(REPOSITORY / "docs").glob("concepts/*.md")]
    if page.exists() and "```python" in page.read_text()
)
END_OF_BLOCK = "--- end of block ---"


class Block(NamedTuple):
    language: str
    line: int
    text: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = [
        Block(match[1], text[: match.start()].count("\n") + 2, match[2])
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(found), "a fence is not closed, or is indented"
    return found


def name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_prints_what_it_says(page: Path, tmp_path: Path) -> None:
    """A `text` block is what the `python` block before it prints; a `python` block without one prints nothing."""
    expected: list[str] = []
    script = ""
    for block in blocks(page):
        if block.language == "python":
            # Blank lines keep the line numbers of the page, so that a traceback points into it.
            script += "\n" * (block.line - 1 - script.count("\n")) + block.text + f"print({END_OF_BLOCK!r})\n"
            expected.append("")
        elif block.language == "text":
            expected[-1] += block.text
    path = tmp_path / page.with_suffix(".py").name
    path.write_text(script)
    ran = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    printed = ran.stdout.split(f"{END_OF_BLOCK}\n")
    assert printed.pop() == ""
    assert printed == expected


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_of_a_kind_that_is_checked(page: Path) -> None:
    """There is no block that looks like code and that nobody runs."""
    assert {block.language for block in blocks(page)} <= {"python", "text", "sh"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_shell_lines_of_a_page_work(page: Path, tmp_path: Path) -> None:
    """`thornback` lines are run against a directory of the test's own; `pip install` lines name this package and extras that it has."""
    package = importlib.metadata.metadata("thornback")
    extras = [None, *package.get_all("Provides-Extra", [])]
    lines = [line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines()]
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    tmp_path.chmod(0o700)
    try:
        for line in lines:
            program, *arguments = line.split()
            if program == "pip":
                wanted = re.fullmatch(r'pip install "?(\w+)(?:\[(\w+)\])?"?', line)
                assert wanted, line
                assert wanted[1] == package["Name"], line
                assert wanted[2] in extras, line
            else:
                assert program == "thornback", f"nobody checks this line: {line}"
                subprocess.run([server(), *arguments], env=environment, check=True, timeout=60, capture_output=True)
    finally:
        if any(line.startswith("thornback start") for line in lines):
            subprocess.run([server(), "stop", "--force"], env=environment, check=False, timeout=60, capture_output=True)


def server() -> str:
    """The server's binary: the one that the environment names, or the one in the path."""
    binary = os.environ.get("THORNBACK_BINARY") or shutil.which("thornback")
    assert binary, "set THORNBACK_BINARY, or put `thornback` in the path"
    return binary


def test_hello_runs() -> None:
    """The smallest example prints what it should."""
    ran = subprocess.run([sys.executable, REPOSITORY / "examples/hello.py"], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "squares: [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]\nsum of them: 285\n"
