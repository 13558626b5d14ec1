"""Running one task: arguments in, user code, results or a failure out.

Nothing here knows how jobs are queued or on which thread they run; :mod:`._worker` does.
"""

from __future__ import annotations

import inspect
import pickle
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from thornback import _errors, _values
from thornback._context import Job
from thornback._errors import Code
from thornback._gen import failure_pb2, task_pb2
from thornback._session import frames
from thornback._signature import Signature

if TYPE_CHECKING:
    from thornback._runtime import Runtime

_FLUSH_AFTER_S: Final = 0.0005


class Interrupted(KeyboardInterrupt):
    """Raised in a task that is cancelled. Derives from KeyboardInterrupt, so that ``except Exception`` lets it through."""


class ExitActor(BaseException):
    """Raised by `exit_actor`."""


class Target:
    """What a declaration of the node stands for in this worker."""

    __slots__ = ("accepts_pickle", "code", "function", "name", "resources", "returns", "signature", "undeclared", "window")

    def __init__(self, message: task_pb2.Declare) -> None:
        self.name = message.function
        self.code = message.code
        self.returns = message.returns
        self.window = message.stream_window
        self.accepts_pickle = _values.PICKLE in message.accepts
        self.resources = {name: units / 10_000 for name, units in message.resources.amounts.items()}
        self.function: Callable[..., Any] | None = None
        self.signature: Signature | None = None
        """Of a function that is served by name, whose callers could not check it."""
        self.undeclared = False
        """The node never declared it: whatever is to run it fails."""

    @classmethod
    def of_nothing(cls, number: int) -> Target:
        """What a number stands for that was not declared."""
        target = cls(task_pb2.Declare(number=number, returns=1))
        target.undeclared = True
        return target


def arguments(runtime: Runtime, given: Any) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a job, from the `args` of its `Run`."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for arg in given:
        value = arg.value
        if value.format == _values.MSGPACK:
            data = value.data
            if len(data) == 1 and data in _values.TINY:
                decoded = _values.TINY[data]
            elif not value.refs and not value.buffers:
                decoded = _values.unpack_plain(data)
            else:
                decoded = _values.decode(_values.MSGPACK, data, value.buffers, "", runtime)
        else:
            decoded = _unusual(runtime, arg)
        keyword = arg.keyword
        if keyword:
            kwargs[keyword] = decoded
        else:
            args.append(decoded)
    return args, kwargs


def _unusual(runtime: Runtime, arg: Any) -> Any:
    """An argument that is not a MessagePack value."""
    kind = arg.WhichOneof("arg")
    if kind == "value":
        value = arg.value
        return _values.decode(value.format, value.data, value.buffers, value.schema, runtime)
    if kind == "stored":
        stored = arg.stored
        here = stored.location.arena != 0
        return runtime.read_location(stored.object, stored.location) if here else runtime.fetch_value(stored.object)
    raise _errors.ProtocolError("the node sent a task with an argument that it has not resolved")


def head(job: Job) -> bytes:
    """The beginning of a job's `Done` and `Yield`s: which attempt of which task."""
    attempt = job.attempt
    return frames.ID_1 + job.task + (_ATTEMPTS[attempt] if attempt < 8 else b"\x10" + frames.varint(attempt))


_ATTEMPTS: Final = [b"", *(bytes((0x10, n)) for n in range(1, 8))]


def small_result(job: Job, value: Any) -> bytes | None:
    """The `Done` of a job that returned one small value, as most do; None for any other value."""
    kind = type(value)
    if value is None:
        result = frames.NIL_RESULT
    elif kind is bytes:
        if len(value) >= frames.SHORT_ARG_SUBMIT.limit:
            return None
        result = frames.SHORT_ARG_SUBMIT.raw[len(value)] + value
    elif kind in _values.SCALARS:
        data = _values.scalar(value)
        if data is None or len(data) >= frames.SHORT_ARG_SUBMIT.limit:
            return None
        result = frames.SHORT_ARG_SUBMIT.short[len(data)] + data
    else:
        return None
    body = head(job) + result
    size = len(body)
    return frames.DONE.short[size] + body if size < frames.DONE.limit else frames.DONE(body)


class Answer:
    """Makes a job's `Done`, and its `Yield`s before that."""

    __slots__ = ("_flushed", "_job", "_runtime", "_target", "consumed", "yielded")

    def __init__(self, runtime: Runtime, job: Job) -> None:
        self._runtime = runtime
        self._job = job
        self._target = job.order.target
        self._flushed = 0.0
        self.yielded = 0
        self.consumed = 0

    def results(self, value: Any) -> bytes:
        """The `Done` of a job that returned `value`. Large results are stored on the way."""
        returns = self._target.returns
        if returns == 1:
            return frames.DONE(head(self._job) + self._result(value, 1, frames.ARG_SUBMIT))
        if returns == 0:
            return frames.DONE(head(self._job))
        values = self._several(value, returns)
        return frames.DONE(
            head(self._job) + b"".join([self._result(value, index, frames.ARG_SUBMIT) for index, value in enumerate(values, 1)])
        )

    def _several(self, value: Any, count: int) -> list[Any]:
        if inspect.isgenerator(value):
            values = []
            for item in value:
                values.append(item)
                if len(values) == count:
                    break
            value.close()
            # Too few are no error of the task: the node says of each that is missing that it is.
            return values
        if isinstance(value, (str, bytes, dict, set)) or not isinstance(value, Iterable):
            raise ValueError(
                f"{self._target.name} returned a {type(value).__name__}; num_returns={count} wants a tuple or list of that length"
            )
        values = list(value)
        if len(values) != count:
            raise ValueError(f"{self._target.name} returned {len(values)} values; num_returns says {count}")
        return values

    def _result(self, value: Any, index: int, number: int) -> bytes:
        """One result as a field `number` of type `Result`."""
        kind = type(value)
        if kind in _values.SCALARS:
            data = _values.scalar(value)
            if data is not None and len(data) < frames.SHORT_ARG_SUBMIT.limit:
                short = frames.SHORT_ARG_SUBMIT if number == frames.ARG_SUBMIT else frames.SHORT_ARG_CALL
                return short.short[len(data)] + data
        encoded = _values.encode(value) if self._target.accepts_pickle else _values.encode_portable(value)
        if encoded.size <= self._runtime.inline_bytes:
            return frames.field(number, frames.field(1, encoded.wire()))
        job = self._job
        self._runtime.write(job.task[:12] + index.to_bytes(4, "big"), encoded, job.task, job.attempt)
        return frames.field(number, b"\x10\x01")

    def put_item(self, value: Any) -> None:
        """Sends the next item of a stream."""
        body = head(self._job)
        if self.yielded:
            body += b"\x18" + frames.varint(self.yielded)
        body += self._result(value, self.yielded + 1, frames.ARG_CALL)
        self.yielded += 1
        self._runtime.session.post(frames.YIELD(body))
        now = time.monotonic()
        if now - self._flushed > _FLUSH_AFTER_S:
            # A slow producer's items go at once; those of a fast one go together, when this much time has passed or by the keeper.
            self._flushed = now
            self._runtime.session.flush(block=False)

    def may_yield(self) -> bool:
        """Whether the consumer is near enough for another item."""
        window = self._target.window
        return not window or self.yielded < self.consumed + window

    def stream(self, items: Any) -> bytes:
        """Sends all items of an iterator; the `Done` after them."""
        if not isinstance(items, Iterator):
            if isinstance(items, (str, bytes, dict)) or not isinstance(items, Iterable):
                raise TypeError(
                    f"{self._target.name} returned a {type(items).__name__}; a streaming function returns a generator or iterable"
                )
            items = iter(items)
        while True:
            if not self.may_yield():
                self._runtime.wait_until(self.may_yield)
            try:
                item = next(items)
            except StopIteration:
                return self.stream_end()
            self.put_item(item)
            del item

    def stream_end(self) -> bytes:
        """The `Done` of a stream."""
        return frames.DONE(head(self._job) + (b"\x28" + frames.varint(self.yielded) if self.yielded else b""))

    def failed(self, failure: failure_pb2.Failure) -> bytes:
        """The `Done` of a job that failed."""
        body = head(self._job) + frames.field(4, failure.SerializeToString())
        if self.yielded:
            body += b"\x28" + frames.varint(self.yielded)
        return frames.DONE(body)


def failure_of(error: BaseException, job: Job, in_user_code: bool, inline_bytes: int) -> failure_pb2.Failure:
    """What to tell of an exception to the caller of the job."""
    if isinstance(error, KeyboardInterrupt) and job.cancelled:
        code = job.interrupt_code or Code.CANCELLED
        text = (
            "the task ran past its deadline and was interrupted"
            if code == Code.DEADLINE_EXCEEDED
            else "the task was cancelled while it ran"
        )
        return failure_pb2.Failure(code=code, message=text, language="python", task=job.task, actor=job.actor)
    if isinstance(error, ExitActor):
        return failure_pb2.Failure(
            code=Code.ACTOR_DIED, message="the actor ended itself by exit_actor()", language="python", task=job.task, actor=job.actor
        )
    if not in_user_code and isinstance(error, _errors.ThornbackError) and error.failure is None:
        # Arguments that cannot be read, results that cannot be written: the registry has a code for it.
        return failure_pb2.Failure(code=error.code, message=error.message, language="python", task=job.task, actor=job.actor)
    if isinstance(error, _errors.MisfitError) and error.failure is None:
        return failure_pb2.Failure(code=error.code, message=error.message, language="python", task=job.task, actor=job.actor)
    failure = _errors.to_failure(error, task=job.task, actor=job.actor)
    if job.order.target.accepts_pickle:
        exception = _exception_value(error)
        if exception is not None and exception.size <= inline_bytes:
            failure.exception.ParseFromString(exception.wire())
    else:
        # Nor those of other tasks that led to it, which were sent to this process because it named the format.
        cause = failure
        while cause.HasField("cause"):
            cause = cause.cause
            cause.ClearField("exception")
    return failure


def _exception_value(error: BaseException) -> _values.Encoded | None:
    """The exception itself for a Python receiver, if it survives the journey."""
    while isinstance(error, _errors.TaskError):
        if error.cause is None:
            return None
        error = error.cause
    for form in (error, _Remade(error)):
        try:
            encoded = _values.encode(form)
            if isinstance(pickle.loads(encoded.data, buffers=encoded.buffers), BaseException) and not encoded.refs:
                return encoded
        except Exception:
            continue
    return None


class _Remade:
    """Pickles as an exception whose `__init__` cannot be called again with `args`, as those of many classes cannot."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        error = self._error
        return _remake, (type(error), error.args, error.__dict__)


def _remake(cls: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


async def stream_async(answer: Answer, items: Any, resumed: Callable[[], Any]) -> bytes:
    """`Answer.stream` for asynchronous generators; `resumed()` is awaited while the consumer is too far behind."""
    if not isinstance(items, AsyncIterator):
        iterator = iter(items)
        while True:
            while not answer.may_yield():
                await resumed()
            try:
                item = next(iterator)
            except StopIteration:
                return answer.stream_end()
            answer.put_item(item)
    while True:
        while not answer.may_yield():
            await resumed()
        try:
            item = await anext(items)
        except StopAsyncIteration:
            return answer.stream_end()
        answer.put_item(item)
