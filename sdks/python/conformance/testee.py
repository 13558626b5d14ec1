"""Shows the Python SDK to the conformance suite: ``testee.py driver`` or ``testee.py worker`` (see conformance/docs/testee.md).

It judges nothing and repairs nothing. What it does with the SDK is what a user could do.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime
import json
import os
import pathlib
import struct
import sys
import threading
import time
import traceback
import uuid
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import thornback
from thornback import worker

FEATURES = [
    "actors",
    "bigint",
    "busy",
    "concurrent",
    "floats",
    "grpc",
    "handles",
    "interrupt",
    "keywords",
    "local_unserializable",
    "nested",
    "resume",
    "returns",
    "stacks",
    "streams",
    "timestamp",
    "uuid",
    "varargs",
]
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
DIGEST_ABOVE = 1024


def pattern(size: int, seed: int) -> bytes:
    period = bytes((31 * i + seed) % 251 for i in range(251))
    return (period * (size // 251 + 1))[:size]


# -------------------------------------------------------------------------------------------------------------------------------- driver


class Driver:
    """What the names of the commands stand for."""

    def __init__(self) -> None:
        self.named: dict[str, Any] = {}
        self.found = 0

    # Values.

    def read(self, value: dict[str, Any]) -> Any:
        ((kind, body),) = value.items()
        if kind == "nil":
            return None
        if kind in ("bool", "str"):
            return body
        if kind in ("int", "bigint"):
            return int(body)
        if kind == "float":
            return struct.unpack(">d", bytes.fromhex(body))[0]
        if kind == "bytes":
            return bytes.fromhex(body)
        if kind == "pattern":
            return pattern(body["size"], body["seed"])
        if kind == "list":
            return [self.read(item) for item in body]
        if kind == "map":
            return {self.read(key): self.read(item) for key, item in body}
        if kind == "uuid":
            return uuid.UUID(body)
        if kind == "timestamp":
            return EPOCH + datetime.timedelta(seconds=body[0], microseconds=body[1] // 1000)
        if kind in ("ref", "actor"):
            return self.named[body]
        if kind == "unencodable":
            return threading.Lock()
        raise ValueError(f"{kind!r} is no value")

    def tell(self, value: Any) -> dict[str, Any]:
        if value is None:
            return {"nil": None}
        if isinstance(value, bool):
            return {"bool": value}
        if isinstance(value, int):
            return {"int" if -(2**63) <= value < 2**64 else "bigint": str(value)}
        if isinstance(value, float):
            return {"float": struct.pack(">d", value).hex()}
        if isinstance(value, str):
            return {"str": value}
        if isinstance(value, (bytes, bytearray, memoryview)):
            if len(value) > DIGEST_ABOVE:
                return {"digest": {"size": len(value), "crc32": f"{zlib.crc32(value):08x}"}}
            return {"bytes": bytes(value).hex()}
        if isinstance(value, (list, tuple)):
            return {"list": [self.tell(item) for item in value]}
        if isinstance(value, dict):
            return {"map": [[self.tell(key), self.tell(item)] for key, item in value.items()]}
        if isinstance(value, uuid.UUID):
            return {"uuid": str(value)}
        if isinstance(value, datetime.datetime):
            since = value - EPOCH
            return {"timestamp": [since.days * 86400 + since.seconds, since.microseconds * 1000]}
        if isinstance(value, (thornback.ObjectRef, thornback.ActorHandle)):
            self.found += 1
            name = f"found{self.found}"
            self.named[name] = value
            return {"ref" if isinstance(value, thornback.ObjectRef) else "actor": name}
        raise TypeError(f"a value of type {type(value).__name__} came back, which has no notation")

    def arguments(self, command: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        args = [self.read(value) for value in command.get("args", [])]
        return args, {name: self.read(value) for name, value in command.get("keywords", {}).items()}

    def bind(self, names: Any, made: Any) -> None:
        if isinstance(names, list):
            self.named.update(zip(names, made, strict=True))
        elif names is not None:
            self.named[names] = made

    # Commands.

    def hello(self, command: dict[str, Any]) -> dict[str, Any]:
        return {"protocol": 1, "language": "python", "sdk": f"thornback-python/{thornback.__version__}", "features": FEATURES}

    def open(self, command: dict[str, Any]) -> None:
        thornback.init(command["address"], token_file=command.get("token_file"), namespace=command.get("namespace"), log_to_driver=False)

    def close(self, command: dict[str, Any]) -> None:
        self.named.clear()
        thornback.shutdown()

    def reset(self, command: dict[str, Any]) -> None:
        self.named.clear()

    def drop(self, command: dict[str, Any]) -> None:
        for name in command["names"]:
            del self.named[name]

    def put(self, command: dict[str, Any]) -> None:
        self.named[command["as"]] = thornback.put(self.read(command["value"]))

    def call(self, command: dict[str, Any]) -> None:
        args, keywords = self.arguments(command)
        function = thornback.function(command["function"]).options(**task_options(command))
        self.bind(command.get("as"), function.remote(*args, **keywords))

    def create(self, command: dict[str, Any]) -> None:
        args, _ = self.arguments(command)
        options = task_options(command)
        if options.pop("detached", False):
            options["lifetime"] = "detached"
        self.named[command["as"]] = thornback.actor_class(command["class"]).options(**options).remote(*args)

    def invoke(self, command: dict[str, Any]) -> None:
        args, keywords = self.arguments(command)
        method = getattr(self.named[command["actor"]], command["method"])
        options = task_options(command)
        if "max_retries" in options:
            options["max_task_retries"] = options.pop("max_retries")
        made = (method.options(**options) if options else method).remote(*args, **keywords)
        self.bind(command.get("as"), made)

    def find(self, command: dict[str, Any]) -> None:
        self.named[command["as"]] = thornback.get_actor(command["name"], command.get("namespace"))

    def get(self, command: dict[str, Any]) -> dict[str, Any]:
        values = thornback.get([self.named[name] for name in command["refs"]], timeout=seconds(command))
        return {"values": [self.tell(value) for value in values]}

    def wait(self, command: dict[str, Any]) -> dict[str, Any]:
        names = {id(self.named[name]): name for name in command["refs"]}
        refs = [self.named[name] for name in command["refs"]]
        ready, pending = thornback.wait(refs, num_returns=command["count"], timeout=seconds(command))
        return {"ready": [names[id(ref)] for ref in ready], "pending": [names[id(ref)] for ref in pending]}

    def next(self, command: dict[str, Any]) -> dict[str, Any]:
        try:
            ref = self.named[command["stream"]].next(seconds(command))
        except StopIteration:
            return {"item": False}
        self.named[command["as"]] = ref
        return {"item": True}

    def cancel(self, command: dict[str, Any]) -> None:
        thornback.cancel(self.named[command["ref"]], force=command.get("force", False), recursive=command.get("recursive", False))

    def kill(self, command: dict[str, Any]) -> None:
        thornback.kill(self.named[command["actor"]], no_restart=not command.get("restart", False), graceful=command.get("graceful", False))


COMMANDS = ("hello", "open", "close", "reset", "drop", "put", "call", "create", "invoke", "find", "get", "wait", "next", "cancel", "kill")


def seconds(command: dict[str, Any]) -> float | None:
    return command["timeout_ms"] / 1000 if "timeout_ms" in command else None


def task_options(command: dict[str, Any]) -> dict[str, Any]:
    """Options of the suite in the SDK's words."""
    options = dict(command.get("options", {}))
    if "pool" in command:
        options["pool"] = command["pool"]
    if "returns" in options:
        returns = options.pop("returns")
        options["num_returns"] = "streaming" if returns == "stream" else returns
    if "deadline_ms" in options:
        options["deadline"] = options.pop("deadline_ms") / 1000
    if "stream_window" in options:
        options["stream_backpressure"] = options.pop("stream_window")
    resources = dict(options.pop("resources", {}))
    if "CPU" in resources:
        options["num_cpus"] = resources.pop("CPU")
    if resources:
        options["resources"] = resources
    return options


def failure(error: BaseException) -> dict[str, Any]:
    told = {
        "code": int(getattr(error, "code", thornback.Code.INVALID_ARGUMENT)),
        "message": getattr(error, "message", str(error)),
        "types": list(getattr(error, "types", ())),
        "language": getattr(error, "language", ""),
        "stack": getattr(error, "stack", ""),
        "cause": None,
        "timeout": isinstance(error, TimeoutError),
        "cancelled": isinstance(error, (asyncio.CancelledError, concurrent.futures.CancelledError)),
    }
    below = error.__cause__
    if isinstance(error, thornback.TaskError) and error.cause is not None:
        below = error.cause.__cause__  # The exception itself comes between the task's failure and what led to it.
    if below is not None:
        told["cause"] = failure(below)
    return told


def answer(driver: Driver, command: dict[str, Any]) -> dict[str, Any]:
    try:
        name = command["do"]
        if name not in COMMANDS:
            return {"crash": f"there is no command {name!r}"}
        return {"result": getattr(driver, name)(command) or {}}
    except (thornback.ThornbackError, TypeError, ValueError) as error:
        # What the SDK refuses where it is called is a TypeError or ValueError; from our own lines they would be defects of ours.
        if isinstance(error, thornback.ThornbackError) or raised_by_the_sdk(error):
            return {"failure": failure(error)}
        return {"crash": traceback.format_exc()}
    except Exception:
        return {"crash": traceback.format_exc()}


def raised_by_the_sdk(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    home = os.path.dirname(thornback.__file__)
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith(home)


def drive() -> None:
    driver = Driver()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # What a library prints must not come between the answers.
    for line in sys.stdin:
        command = json.loads(line)
        answers.write(json.dumps({"id": command["id"], **answer(driver, command)}) + "\n")
    thornback.shutdown()


# -------------------------------------------------------------------------------------------------------------------------------- worker


class ConformanceError(Exception):
    """What user code raises."""


def serve(name: str) -> Callable[[Any], Any]:
    return worker.function(f"conformance.{name}")


def append(path: str, line: str) -> int:
    """Appends a line, and says how many there are."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")
    with open(path, encoding="utf-8") as file:
        return len(file.readlines())


def wait_for(path: str) -> None:
    while not os.path.exists(path):
        time.sleep(0.003)


@serve("echo")
def echo(x: Any) -> Any:
    return x


@serve("add")
def add(a: int, b: int) -> int:
    return a + b


@serve("list")
def list_(*args: Any) -> list[Any]:
    return list(args)


@serve("keywords")
def keywords(**named: Any) -> dict[str, Any]:
    return named


@serve("pattern")
def make_pattern(size: int, seed: int) -> bytes:
    return pattern(size, seed)


@serve("size")
def size(data: bytes) -> int:
    return len(data)


@serve("many")
def many(n: int) -> list[int]:
    return list(range(n))


@serve("language")
def language() -> str:
    return "python"


@serve("mark")
def mark(path: str, text: str) -> None:
    append(path, text)


@serve("fail")
def fail(message: str) -> None:
    raise ConformanceError(message)


@serve("fail_chain")
def fail_chain(n: int) -> None:
    if n == 0:
        raise ConformanceError("level 0")
    try:
        fail_chain(n - 1)
    except ConformanceError as error:
        raise ConformanceError(f"level {n}") from error


@serve("fail_first")
def fail_first(path: str, n: int) -> int:
    attempt = append(path, "attempt")
    if attempt <= n:
        raise ConformanceError(f"attempt {attempt}")
    return attempt


@serve("die_first")
def die_first(path: str, n: int) -> int:
    attempt = append(path, "attempt")
    if attempt <= n:
        os._exit(3)
    return attempt


@serve("hold")
def hold(path: str) -> str:
    try:
        pathlib.Path(path + ".started").touch()
        wait_for(path + ".go")
    except BaseException:
        pathlib.Path(path + ".interrupted").touch()
        raise
    return "released"


@serve("busy")
def busy(path: str) -> str:
    pathlib.Path(path + ".started").touch()
    while not os.path.exists(path + ".go"):
        pass
    return "released"


@serve("relay")
def relay(pool: str, function: str, args: list[Any]) -> Any:
    options = {"pool": pool} if pool else {}
    return thornback.get(thornback.function(function, **options).remote(*args))


@serve("refs")
def refs(n: int) -> list[Any]:
    return [thornback.put(i) for i in range(n)]


@serve("read")
def read(refs: list[Any]) -> list[Any]:
    return [thornback.get(ref) for ref in refs]


@serve("count")
def count(n: int) -> Iterator[int]:
    yield from range(n)


@serve("count_fail")
def count_fail(n: int, message: str) -> Iterator[int]:
    yield from range(n)
    raise ConformanceError(message)


@serve("paced")
def paced(path: str, n: int) -> Iterator[int]:
    for i in range(n):
        append(path, str(i))
        yield i


@worker.actor("conformance.Counter")
class Counter:
    def __init__(self, start: int) -> None:
        self.total = start
        self.kept: list[Any] = []

    def add(self, n: int) -> int:
        self.total += n
        return self.total

    def echo(self, x: Any) -> Any:
        return x

    def fail(self, message: str) -> None:
        fail(message)

    def hold(self, path: str) -> str:
        return hold(path)

    def mark(self, path: str, text: str) -> None:
        append(path, text)

    def relay(self, pool: str, function: str, args: list[Any]) -> Any:
        return relay(pool, function, args)

    def count(self, n: int) -> Iterator[int]:
        yield from range(n)

    def die(self) -> None:
        os._exit(3)

    def leave(self) -> None:
        thornback.exit_actor()

    def keep(self, refs: list[Any]) -> None:
        self.kept = refs

    def recall(self) -> list[Any]:
        return read(self.kept)


@worker.actor("conformance.Broken")
class Broken:
    def __init__(self, message: str) -> None:
        raise ConformanceError(message)

    def add(self, n: int) -> int:
        return n


@worker.actor("conformance.Together")
class Together:
    def meet(self, path: str, name: str) -> str:
        pathlib.Path(f"{path}.{name}").touch()
        wait_for(path + ".go")
        return name


if __name__ == "__main__":
    if sys.argv[1:] == ["driver"]:
        drive()
    elif sys.argv[1:] == ["worker"]:
        worker.serve()
    else:
        sys.exit("the last argument is driver or worker; see conformance/docs/testee.md")
