"""Testees that are broken on purpose: ``broken.py FAULT driver|worker`` is Python's testee with one fault, ``broken.py list`` tells of all.

They test the suite. Each fault names the case that must find it and the words in which; `cargo xtask conformance --broken` holds the
suite to that: no other failure, the testee's own words in the report, and the cases behind it still judged. A fault is put over the
testee of the Python SDK and touches nothing of the SDK.
"""

from __future__ import annotations

import json
import os
import pathlib
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "sdks/python/conformance"))

import testee  # noqa: E402

# Seconds of patience for a fault whose only sign is that nothing happens.
SOON = 3

FAULTS: dict[str, dict[str, Any]] = {}
INSTALL: dict[str, Callable[[], None]] = {}


def fault(case: str, says: str, beside: str = "task/chain", patience: int = 15) -> Callable[[Any], Any]:
    """A fault: the case that must find it, words of the failure, and a case that must pass all the same."""

    def keep(install: Callable[[], None]) -> Callable[[], None]:
        name = install.__name__.replace("_", "-")
        FAULTS[name] = {"name": name, "case": case, "says": says, "beside": beside, "patience": patience}
        INSTALL[name] = install
        return install

    return keep


def instead(owner: Any, name: str) -> Callable[[Any], Any]:
    """Puts a function, which is given the one that was there, in place of a method."""
    old = getattr(owner, name)

    def put(new: Callable[..., Any]) -> Callable[..., Any]:
        def replacement(*args: Any, **named: Any) -> Any:
            return new(old, *args, **named)

        setattr(owner, name, replacement)
        return new

    return put


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# What a driver makes of values.


def told(change: Callable[[Any], Any]) -> None:
    @instead(testee.Driver, "tell")
    def _(tell: Any, self: Any, value: Any) -> Any:
        return tell(self, change(value))


@fault("value/minus-zero", 'found {"float":"0000000000000000"}', "value/nil")
def minus_zero_is_zero() -> None:
    told(lambda value: 0.0 if isinstance(value, float) and value == 0 else value)


@fault("value/nan", "found ", "value/nil")
def nan_is_nil() -> None:
    told(lambda value: None if value != value else value)


@fault("value/float-whole", 'found {"int":', "value/nil")
def whole_floats_are_integers() -> None:
    told(lambda value: int(value) if isinstance(value, float) and value.is_integer() else value)


@fault("value/int-beyond-doubles", 'found {"int":', "value/nil")
def integers_are_doubles() -> None:
    told(lambda value: int(float(value)) if type(value) is int else value)


@fault("value/bool", 'found {"int":', "value/nil")
def bools_are_integers() -> None:
    told(lambda value: int(value) if isinstance(value, bool) else value)


@fault("value/text-scripts", 'found {"bytes":', "value/nil")
def text_is_bytes() -> None:
    told(lambda value: value.encode() if isinstance(value, str) else value)


@fault("value/bytes-all", "found ", "value/nil")
def last_byte_is_cut() -> None:
    told(lambda value: value[:-1] if isinstance(value, bytes) else value)


@fault("value/large-both-ways", 'found {"digest":', "value/nil")
def one_bit_of_large_bytes_is_wrong() -> None:
    told(lambda value: bytes([value[0] ^ 1]) + bytes(value[1:]) if isinstance(value, (bytes, memoryview)) and len(value) > 10000 else value)


@fault("value/map-text-keys", "expected 4 entries, found 3", "value/nil")
def map_loses_an_entry() -> None:
    told(lambda value: dict(list(value.items())[1:]) if isinstance(value, dict) else value)


# What a driver makes of failures.


def failing(change: Callable[[dict[str, Any]], None]) -> None:
    @instead(testee, "failure")
    def _(failure: Any, error: BaseException) -> dict[str, Any]:
        made: dict[str, Any] = failure(error)
        change(made)
        return made


@fault("error/chain-of-causes", ".cause: expected")
def cause_is_lost() -> None:
    failing(lambda failure: failure.update(cause=None))


@fault("error/user-code", "expected TASK_FAILED, found INTERNAL")
def code_is_lost() -> None:
    failing(lambda failure: failure.update(code=1))


@fault("misbehaving/failure-with-everything", ".stack: expected")
def stack_is_lost() -> None:
    failing(lambda failure: failure.update(stack=""))


@fault("error/get-timeout", ".timeout: expected true, found false")
def timeout_is_no_timeout_error() -> None:
    failing(lambda failure: failure.update(timeout=False))


# What a driver does with commands.


@fault("object/list-in-order", "values: [0]: expected")
def get_sorts() -> None:
    @instead(testee.Driver, "get")
    def _(get: Any, self: Any, command: dict[str, Any]) -> Any:
        return get(self, {**command, "refs": sorted(command["refs"])})


@fault("object/wait-ready", "ready: [0]: expected")
def wait_takes_what_comes() -> None:
    @instead(testee.Driver, "wait")
    def _(wait: Any, self: Any, command: dict[str, Any]) -> Any:
        return {"ready": command["refs"][: command["count"]], "pending": command["refs"][command["count"] :]}


@fault("object/freed", "does not settle", patience=SOON)
def refs_leak() -> None:
    kept = []

    @instead(testee.Driver, "put")
    def _(put: Any, self: Any, command: dict[str, Any]) -> None:
        put(self, command)
        kept.append(self.named[command["as"]])


@fault("actor/order", "lines of m: [0]: expected")
def calls_are_reordered() -> None:
    waiting: list[Any] = []

    @instead(testee.Driver, "invoke")
    def _(invoke: Any, self: Any, command: dict[str, Any]) -> None:
        waiting.append((invoke, command))

    for name in ("get", "reset"):

        @instead(testee.Driver, name)
        def _(old: Any, self: Any, command: dict[str, Any]) -> Any:
            while waiting:
                invoke, late = waiting.pop()
                invoke(self, late)
            return old(self, command)


@fault("actor/state", "found ")
def calls_are_sent_twice() -> None:
    @instead(testee.Driver, "invoke")
    def _(invoke: Any, self: Any, command: dict[str, Any]) -> None:
        invoke(self, command)
        invoke(self, command)


@fault("actor/kill", "GET_TIMEOUT", patience=SOON)
def kill_is_ignored() -> None:
    @instead(testee.Driver, "kill")
    def _(kill: Any, self: Any, command: dict[str, Any]) -> None:
        say("whom should I kill?")


@fault("cancel/before-it-runs", "GET_TIMEOUT", patience=SOON)
def cancel_is_ignored() -> None:
    @instead(testee.Driver, "cancel")
    def _(cancel: Any, self: Any, command: dict[str, Any]) -> None:
        say("what should I cancel?")


@fault("cancel/deadline-while-it-runs", "expected DEADLINE_EXCEEDED, found GET_TIMEOUT", patience=SOON)
def deadline_is_ignored() -> None:
    @instead(testee, "task_options")
    def _(task_options: Any, command: dict[str, Any]) -> dict[str, Any]:
        options: dict[str, Any] = task_options(command)
        options.pop("deadline", None)
        return options


@fault("task/retries-are-spent", "found ")
def retries_are_not_told() -> None:
    @instead(testee, "task_options")
    def _(task_options: Any, command: dict[str, Any]) -> dict[str, Any]:
        options: dict[str, Any] = task_options(command)
        options.pop("max_retries", None)
        return options


@fault("stream/items", "expected 5 items, found 4")
def last_item_is_lost() -> None:
    ahead: dict[str, Any] = {}

    @instead(testee.Driver, "next")
    def _(following: Any, self: Any, command: dict[str, Any]) -> Any:
        name = command["stream"]
        if name not in ahead:
            following(self, {**command, "as": "ahead"})
            ahead[name] = self.named["ahead"]
        given = ahead[name]
        if following(self, {**command, "as": "ahead"})["item"] is False:
            return {"item": False}
        ahead[name] = self.named["ahead"]
        self.named[command["as"]] = given
        return {"item": True}


@fault("stream/items", "items: ")
def items_come_twice() -> None:
    last: list[Any] = []

    @instead(testee.Driver, "next")
    def _(following: Any, self: Any, command: dict[str, Any]) -> Any:
        if last:
            self.named[command["as"]] = last.pop()
            return {"item": True}
        answer = following(self, command)
        if answer["item"]:
            last.append(self.named[command["as"]])
        return answer


# How a testee answers.


@fault("object/list-in-order", "it hangs: no answer came", patience=SOON)
def hangs() -> None:
    @instead(testee.Driver, "put")
    def _(put: Any, self: Any, command: dict[str, Any]) -> None:
        say("I wait for what never comes")
        time.sleep(3600)


@fault("object/list-in-order", "this line is no answer: hello, world")
def prints_between_its_answers() -> None:
    answers = os.dup(1)

    @instead(testee.Driver, "put")
    def _(put: Any, self: Any, command: dict[str, Any]) -> None:
        os.write(answers, b"hello, world\n")
        put(self, command)


@fault("object/list-in-order", "this line is no answer: ")
def answers_with_bytes_that_are_no_text() -> None:
    answers = os.dup(1)

    @instead(testee.Driver, "put")
    def _(put: Any, self: Any, command: dict[str, Any]) -> None:
        os.write(answers, b'{"id":\xff\xfe\x00\n')


@fault("object/list-in-order", "it ended without an answer (exit status: 7)")
def exits_in_the_middle() -> None:
    @instead(testee.Driver, "put")
    def _(put: Any, self: Any, command: dict[str, Any]) -> None:
        say("I fall over")
        os._exit(7)


@fault("object/list-in-order", "it ended without an answer (signal: 9")
def is_killed_in_the_middle() -> None:
    @instead(testee.Driver, "put")
    def _(put: Any, self: Any, command: dict[str, Any]) -> None:
        say("I am shot")
        os.kill(os.getpid(), 9)


@fault("stream/items", "the testee claims streams, and then says that it has it not")
def denies_what_it_claimed() -> None:
    @instead(testee, "answer")
    def _(answer: Any, driver: Any, command: dict[str, Any]) -> dict[str, Any]:
        return {"unsupported": "streams"} if command["do"] == "next" else answer(driver, command)


@fault("object/list-in-order", "the testee itself failed:\nTraceback")
def fails_itself() -> None:
    @instead(testee.Driver, "put")
    def _(put: Any, self: Any, command: dict[str, Any]) -> None:
        raise RuntimeError("a defect of the testee")


@fault("object/list-in-order", "this answer breaks the contract: ")
def answers_two_things() -> None:
    @instead(testee, "answer")
    def _(answer: Any, driver: Any, command: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = answer(driver, command)
        return {**made, "crash": "and also"} if command["do"] == "put" else made


@fault("object/list-in-order", "this answer breaks the contract: ")
def fails_without_a_code() -> None:
    @instead(testee, "answer")
    def _(answer: Any, driver: Any, command: dict[str, Any]) -> dict[str, Any]:
        return {"failure": {"message": "oh"}} if command["do"] == "put" else answer(driver, command)


@fault("object/list-in-order", "it hangs: no answer came", patience=SOON)
def answers_another_number() -> None:
    @instead(testee, "answer")
    def _(answer: Any, driver: Any, command: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = answer(driver, command)
        return {**made, "id": command["id"] + 1000} if command["do"] == "put" else made


@fault("", "its hello does not hold protocol 1, language and features")
def speaks_another_protocol() -> None:
    @instead(testee.Driver, "hello")
    def _(hello: Any, self: Any, command: dict[str, Any]) -> dict[str, Any]:
        return {**hello(self, command), "protocol": 2}


@fault("", "it ended without an answer (exit status: 9)")
def exits_at_once() -> None:
    @instead(testee.Driver, "hello")
    def _(hello: Any, self: Any, command: dict[str, Any]) -> dict[str, Any]:
        os._exit(9)


# What goes over the wire, on a connection beside the SDK's own.


def varint(n: int) -> bytes:
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def beside(*frames: bytes) -> None:
    """When an object is put, these frames go to the node as well, each once there is an answer to the one before."""
    addresses: list[str] = []

    @instead(testee.Driver, "open")
    def _(opening: Any, self: Any, command: dict[str, Any]) -> None:
        addresses.append(command["address"].removeprefix("unix:"))
        opening(self, command)

    @instead(testee.Driver, "put")
    def _(put: Any, self: Any, command: dict[str, Any]) -> None:
        put(self, command)
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(addresses[-1])
            for frame in frames:
                other.sendall(struct.pack(">I", len(frame)) + frame)
                other.recv(65536)


HELLO = field(1, 1) + field(2, 1) + field(4, 1)


@fault("object/list-in-order", "the driver broke the protocol: SESSION-010")
def begins_without_hello() -> None:
    beside(field(1, 1) + field(3, field(24, b"")))


@fault("object/list-in-order", "the driver broke the protocol: VERSION-002")
def sends_a_field_that_no_schema_has() -> None:
    beside(field(3, field(1, HELLO + field(1000, 1))))


@fault("object/list-in-order", "the driver broke the protocol: ID-001")
def sends_a_short_id() -> None:
    beside(field(3, field(1, HELLO)), field(1, 1) + field(3, field(21, field(1, b"short"))))


@fault("object/list-in-order", "the driver broke the protocol: SESSION-020")
def leaves_a_gap_in_its_numbers() -> None:
    beside(field(3, field(1, HELLO)), field(1, 5) + field(3, field(24, b"")))


@fault("object/list-in-order", "the driver broke the protocol: TASK-002")
def submits_what_it_never_declared() -> None:
    beside(field(3, field(1, HELLO)), field(1, 1) + field(3, field(11, field(1, bytes(16)) + field(2, 7))))


# What a worker does. A worker's faults are in all that it runs, so the case beside is one without a worker.


def becomes(like: Callable[..., Any]) -> None:
    """Gives the worker's function of that name another body. It sees what the testee's module has, and nothing of this one."""
    getattr(testee, like.__name__).__code__ = like.__code__


@fault("error/chain-of-causes", ".cause: expected", "object/list-in-order")
def worker_chains_nothing() -> None:
    def fail_chain(n: int) -> None:
        raise ConformanceError(f"level {n}")  # type: ignore[name-defined] # noqa: F821

    becomes(fail_chain)


@fault("task/several-results", "found ", "object/list-in-order")
def worker_reverses_results() -> None:
    def many(n: int) -> list[int]:
        return list(reversed(range(n)))

    becomes(many)


@fault("cancel/while-it-runs", "no file h.interrupted", "object/list-in-order", patience=SOON)
def worker_swallows_interruptions() -> None:
    def hold(path: str) -> str:
        pathlib.Path(path + ".started").touch()
        try:
            while not os.path.exists(path + ".go"):
                time.sleep(0.003)
        except BaseException:
            sys.stderr.write("nobody interrupts me\n")
            raise
        return "released"

    becomes(hold)


@fault("task/sum-of-refs", "WORKER_DIED", "object/list-in-order")
def worker_ends_in_every_task() -> None:
    def echo(x: Any) -> Any:
        sys.stderr.write("I cannot go on\n")
        os._exit(3)

    becomes(echo)


@fault("worker/goodbye", "the worker did not end", "object/list-in-order", patience=SOON)
def worker_stays_when_its_session_ends() -> None:
    @instead(os, "_exit")
    def _(_exit: Any, code: int) -> None:
        say("I stay")
        time.sleep(3600)


@fault("worker/hello", "nobody connected", "object/list-in-order", patience=SOON)
def worker_never_dials() -> None:
    @instead(testee.worker, "serve")
    def _(serve: Any) -> None:
        say("I am shy")
        time.sleep(3600)


if __name__ == "__main__":
    if sys.argv[1:] == ["list"]:
        json.dump(list(FAULTS.values()), sys.stdout)
        sys.exit(0)
    if len(sys.argv) != 3 or sys.argv[1] not in FAULTS or sys.argv[2] not in ("driver", "worker"):
        sys.exit("broken.py list, or broken.py FAULT driver|worker")
    INSTALL[sys.argv[1]]()
    say(f"broken on purpose: {sys.argv[1]}")
    if sys.argv[2] == "driver":
        testee.drive()
    else:
        testee.worker.serve()
