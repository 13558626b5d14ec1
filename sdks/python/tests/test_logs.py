"""What tasks print reaches the terminal of the driver whose tasks they are, each line with where it came from."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

from tests.support import DEADLINE


def run(script: str, tmp_path: Path) -> tuple[list[str], list[str]]:
    """Runs a driver; gives the lines of its standard output and standard error."""
    path = tmp_path / "driver.py"
    path.write_text("import sys, thornback\n" + textwrap.dedent(script))
    ran = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines(), ran.stderr.splitlines()


def test_lines_come_prefixed_on_the_stream_that_they_were_printed_to(tmp_path: Path) -> None:
    """Standard output stays standard output, and errors stay errors. A line of an actor names its class."""
    out, err = run(
        """
        thornback.init(num_cpus=2)

        @thornback.remote
        def speak():
            print("from a task")
            print("a task's complaint", file=sys.stderr)

        @thornback.remote
        class Speaker:
            def speak(self):
                print("from an actor")

        speaker = Speaker.remote()
        thornback.get([speak.remote(), speaker.speak.remote()])
        thornback.shutdown()
        """,
        tmp_path,
    )
    assert [line for line in out if re.fullmatch(r"\(.*pid=\d+\) from a task", line)]
    assert [line for line in out if re.fullmatch(r"\(Speaker pid=\d+\) from an actor", line)]
    assert [line for line in err if re.fullmatch(r"\(.*pid=\d+\) a task's complaint", line)]


def test_lines_that_many_workers_print_alike_are_shown_once(tmp_path: Path) -> None:
    """The same warning from every worker is one line and, a little later, a count, so that a fan-out does not bury the terminal."""
    path = tmp_path / "driver.py"
    path.write_text(
        textwrap.dedent(
            """
            import sys, thornback
            thornback.init(num_cpus=4)

            @thornback.remote
            class Speaker:
                def speak(self, word):
                    print(word)

            speakers = [Speaker.remote() for _ in range(4)]
            thornback.get([speaker.speak.remote("the same for all") for speaker in speakers])
            thornback.get([speaker.speak.remote(f"my own {number}") for number, speaker in enumerate(speakers)])
            sys.stdin.readline()
            """
        )
    )
    driver = subprocess.Popen([sys.executable, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert driver.stdout
    watchdog = threading.Timer(DEADLINE, driver.kill)
    watchdog.start()
    seen = []
    for line in driver.stdout:
        seen.append(line)
        if "repeated" in line:
            break
    watchdog.cancel()
    driver.communicate("the end\n", timeout=DEADLINE)
    assert len([line for line in seen if "the same for all" in line and "repeated" not in line]) == 1
    assert re.search(r"repeated 3x", seen[-1])
    assert {line.split("my own ")[1].strip() for line in seen if "my own" in line} == {"0", "1", "2", "3"}


def test_a_driver_that_does_not_want_lines_gets_none(tmp_path: Path) -> None:
    """With log_to_driver=False the terminal is the driver's alone."""
    out, err = run(
        """
        thornback.init(num_cpus=1, log_to_driver=False)

        @thornback.remote
        def speak():
            print("unwanted")

        thornback.get(speak.remote())
        thornback.shutdown()
        print("mine")
        """,
        tmp_path,
    )
    assert out == ["mine"]
    assert err == []


def test_a_huge_line_and_a_flood_lose_neither_the_worker_nor_the_driver(tmp_path: Path) -> None:
    """A line without an end is cut, and a flood is thinned out with a remark; the task is not held up by it."""
    out, _ = run(
        """
        thornback.init(num_cpus=1)

        @thornback.remote
        def shout():
            sys.stdout.write("x" * 10_000_000 + "\\n")
            for number in range(20_000):
                print("line", number)
            return "done"

        result = thornback.get(shout.remote(), timeout=60)
        thornback.shutdown()
        print("the task is", result)
        """,
        tmp_path,
    )
    assert out[-1] == "the task is done"
    assert max(map(len, out)) < 100_000
