"""The runtime of this process: what users ask for, as operations on the session.

Drivers and workers have the same one; :mod:`._worker` adds what runs tasks. :mod:`._table` keeps the objects.

The call path is written for speed: an id is made, the operation's bytes are joined, a ref is returned; nothing waits, nothing takes a
lock. What can be known beforehand (the function, its options, how many results) is declared to the node once and called by number.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from thornback import _context, _errors, _values
from thornback._gen import actor_pb2, control_pb2, session_pb2, task_pb2, worker_pb2
from thornback._object import ObjectRef
from thornback._session import frames, hot
from thornback._session.carrier import Carrier
from thornback._session.session import Session
from thornback._state import ACTOR, PENDING, Declaration, Failed, Slot
from thornback._table import ObjectTable

if TYPE_CHECKING:
    from collections import deque

    from thornback._actor import ActorClass, ActorHandle, ActorMethod
    from thornback._options import Options
    from thornback._task import RemoteFunction
    from thornback._worker import Worker

SDK: Final = "thornback-python/0.1.0"
_INLINE_ARGS_MAX: Final = 1024 * 1024
"""Arguments beyond this sum are put as objects, so that a call fits into a frame."""
_LAST_OUTPUT_S: Final = 5.0
"""How long a program that ends waits for what its workers have printed."""
_JOB: Final = _context.job


class Home(Protocol):
    """What refs and streams need of the runtime that they belong to."""

    dropped: deque[bytes]

    def get_one(self, ref: ObjectRef[Any], timeout: float | None) -> Any: ...
    def when_readable(self, ref: ObjectRef[Any], done: Callable[[], None]) -> None: ...
    def pin(self, id: bytes) -> None: ...
    def wait_stream(self, id: bytes, taken: int, deadline: float | None) -> bool: ...
    def when_streamed(self, id: bytes, taken: int, done: Callable[[], None]) -> None: ...
    def take_item(self, id: bytes, taken: int) -> ObjectRef[Any] | None: ...
    def stream_completed(self, id: bytes) -> ObjectRef[None]: ...
    def stream_finished(self, id: bytes, taken: int) -> bool: ...


class Backend(Home, Protocol):
    """What the public functions need; `testing.local` puts another one in its place."""

    namespace: str

    def submit(self, function: RemoteFunction[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...
    def create_actor(self, cls: ActorClass[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> ActorHandle: ...
    def call(self, method: ActorMethod, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...
    def put(self, value: Any) -> ObjectRef[Any]: ...
    def get_many(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]: ...
    def wait_many(self, ids: list[bytes], num_returns: int, timeout: float | None, fetch: bool) -> list[int]: ...
    def cancel(self, id: bytes, force: bool, recursive: bool) -> None: ...
    def kill(self, id: bytes, restart: bool, graceful: bool) -> None: ...
    def get_actor(self, name: str, namespace: str) -> ActorHandle: ...
    def adopt_ref(self, id: bytes) -> ObjectRef[Any]: ...
    def adopt_actor(self, id: bytes, class_name: str, interface: bytes) -> ActorHandle: ...
    def request(self, **kind: Any) -> control_pb2.Reply: ...
    def post_request(self, **kind: Any) -> None: ...
    def collect_output(self) -> None: ...
    def close(self) -> None: ...


current: Backend | None = None
"""The runtime that `init` opened, or that this worker belongs to."""
worker: Worker | None = None
"""What this process is, if it is a worker."""


def require() -> Backend:
    """The current runtime; opens one if there is none."""
    if current is None:
        from thornback import _client

        _client.init()
        assert current is not None
    return current


class Runtime(ObjectTable):
    """A session and what users do with it."""

    def __init__(
        self,
        connect: Callable[[], Carrier],
        hello: session_pb2.Hello,
        handlers: Mapping[str, Callable[[Any], None]] | None = None,
        on_close: Callable[[BaseException], None] | None = None,
        runs: Mapping[int, hot.Taker] | None = None,
    ) -> None:
        super().__init__()
        self._declare_lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._declared: dict[Any, Declaration] = {}
        self._requests: dict[int, Slot] = {}
        self._request_numbers = itertools.count(1)
        self._refused_cancels: dict[bytes, _errors.ThornbackError] = {}
        self._told_on_close = on_close
        hello.language = "python"
        hello.sdk = SDK
        hello.formats.append(_values.PICKLE)
        self.inline_bytes = 100 * 1024
        self.session = Session(
            connect,
            hello,
            {
                **self.table_handlers(),
                "reply": self._handle_reply,
                "refused": self._handle_refused,
                "log": self._handle_log,
                "notice": self._handle_notice,
                **(handlers or {}),
            },
            runs={20: self.take_completions, **(runs or {})},
            before_send=self.post_drops,
            on_close=self._handle_close,
        )
        welcome = self.session.welcome
        if welcome.limits.inline_bytes:
            self.inline_bytes = welcome.limits.inline_bytes
        self.namespace = welcome.namespace
        self.job_id = welcome.job
        self.node_id = welcome.node

    def start(self) -> None:
        """From here on what the node sends is handled as it comes."""
        self.session.start()

    # --------------------------------------------------------------------------------------------------------------------------- calls

    def submit(self, function: RemoteFunction[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Submits a task; its refs (one, a list, None or a stream, as declared)."""
        declaration = function._declaration
        if declaration is None or declaration.runtime is not self:
            declaration = self._declare_function(function)
        prefix = self.ids.prefix()
        job = _JOB.get()
        if job is None and not args and not kwargs:
            refs = self._expect(prefix, declaration.returns)
            self.session.post(declaration.submit_head + prefix + declaration.submit_tail)
            return refs
        body = frames.ID_1 + prefix + frames.INDEX_SELF + declaration.suffix_submit
        keep = None
        if args or kwargs:
            encoded, keep = self._encode_args(args, kwargs, declaration.portable, frames.SHORT_ARG_SUBMIT, frames.ARG_SUBMIT)
            body += encoded
        if job is not None:
            body += frames.PARENT_SUBMIT + job.task
        refs = self._expect(prefix, declaration.returns)
        size = len(body)
        self.session.post(frames.SUBMIT.short[size] + body if size < frames.SUBMIT.limit else frames.SUBMIT(body))
        del keep  # Until here: what was put for the call must not be dropped before the call names it.
        return refs

    def call(self, method: ActorMethod, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls a method of an actor."""
        actor = method._actor
        declaration = actor._interface._declared.get(method._spec.name) if method._options is None else None
        if declaration is None or declaration.runtime is not self:
            declaration = method._declaration(self)
        prefix = self.ids.prefix()
        job = _JOB.get()
        if job is None and not args and not kwargs:
            refs = self._expect(prefix, declaration.returns)
            id = actor._actor_id
            self.session.post(b"".join((declaration.call_head, prefix, declaration.call_tail, id, declaration.suffix_call)))
            return refs
        body = b"".join((frames.ID_1, prefix, frames.INDEX_SELF, frames.ID_2, actor._actor_id, declaration.suffix_call))
        keep = None
        if args or kwargs:
            encoded, keep = self._encode_args(args, kwargs, declaration.portable, frames.SHORT_ARG_CALL, frames.ARG_CALL)
            body += encoded
        if job is not None:
            body += frames.PARENT_CALL + job.task
        refs = self._expect(prefix, declaration.returns)
        size = len(body)
        self.session.post(frames.CALL.short[size] + body if size < frames.CALL.limit else frames.CALL(body))
        del keep
        return refs

    def _expect(self, prefix: bytes, returns: int) -> Any:
        """The refs of a call that is about to be posted."""
        if returns == 1:
            id = prefix + frames.INDEX_FIRST
            self._state[id] = PENDING
            return ObjectRef(id, self)
        if returns == 0:
            return None
        if returns < 0:
            return self.open_stream(prefix + frames.INDEX_SELF)
        ids = [prefix + index.to_bytes(4, "big") for index in range(1, returns + 1)]
        for id in ids:
            self._state[id] = PENDING
        return [ObjectRef(id, self) for id in ids]

    def _encode_args(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], portable: bool, short: frames.ShortValues, number: int
    ) -> tuple[bytes, list[Any] | None]:
        """Arguments as repeated `Arg`s, and what must stay alive until they are posted."""
        parts: list[bytes] = []
        keep: list[Any] | None = None
        total = 0
        heads, raw, limit = short.short, short.raw, short.limit
        for value in args:
            kind = type(value)
            if kind is bytes:
                if len(value) < limit:
                    parts.append(raw[len(value)] + value)
                    continue
            elif kind in _values.SCALARS:
                data = _values.scalar(value)
                if data is not None and len(data) < limit:
                    parts.append(heads[len(data)] + data)
                    continue
            if keep is None:
                keep = []
            total = self._encode_arg(parts, value, "", portable, number, keep, total)
        if kwargs:
            if keep is None:
                keep = []
            for keyword, value in kwargs.items():
                total = self._encode_arg(parts, value, keyword, portable, number, keep, total)
        return b"".join(parts), keep

    def _encode_arg(self, parts: list[bytes], value: Any, keyword: str, portable: bool, number: int, keep: list[Any], total: int) -> int:
        if isinstance(value, ObjectRef):
            body = frames.ID_2 + value._id
        else:
            encoded = _values.encode_portable(value) if portable else _values.encode(value)
            size = encoded.size
            if size > self.inline_bytes or (size > 1024 and total + size > _INLINE_ARGS_MAX):
                ref = self.put_encoded(encoded)
                keep.append(ref)
                body = frames.ID_2 + ref._id
            else:
                total += size
                keep.append(encoded.keep)
                body = frames.field(1, encoded.wire())
        if keyword:
            body += frames.field(3, keyword.encode())
        parts.append(frames.field(number, body))
        return total

    def put(self, value: Any) -> ObjectRef[Any]:
        """Stores a value as an object."""
        if type(value) in _values.SCALARS:
            data = _values.scalar(value)
            if data is not None and len(data) < len(frames.SHORT_PUT):
                id = self.ids.prefix() + frames.INDEX_FIRST
                self._state[id] = (value,)
                self.session.post(frames.PUT(frames.ID_1 + id + frames.SHORT_PUT[len(data)] + data))
                return ObjectRef(id, self)
        return self.put_encoded(_values.encode(value))

    # ------------------------------------------------------------------------------------------------------------------- declarations

    def _declare_function(self, function: RemoteFunction[..., Any]) -> Declaration:
        with self._declare_lock:
            declaration = self.declare(
                name=function._name,
                options=function._options,
                returns=function._returns,
                code=self._code(function._definition) if function._definition is not None else None,
                portable=function._definition is None,
                contract=function._contract,
            )
            function._declaration = declaration
        return declaration

    def _code(self, definition: Any) -> ObjectRef[Any]:
        """The object that holds the definition of a function or class. Shared by all options of it."""
        cached: tuple[Any, ObjectRef[Any]] | None = definition.shipped
        if cached is None or cached[0] is not self:
            cached = definition.shipped = (self, self.put_encoded(_values.dumps_code(definition.target)))
        return cached[1]

    def declare(
        self,
        *,
        name: str,
        options: Options,
        returns: int,
        code: ObjectRef[Any] | None = None,
        portable: bool = False,
        retries: int | None = None,
        contract: str = "",
    ) -> Declaration:
        """Declares something to call, under a new number."""
        number = next(self._numbers)
        message = task_pb2.Declare(number=number, function=name, returns=returns, accepts=[_values.PICKLE], signature=contract)
        if code is not None:
            message.code = code._id
        options.fill(message)
        if retries is not None:
            message.max_retries = retries
        self.session.post_quietly(frames.DECLARE(message.SerializeToString()))
        return Declaration(self, number, returns, portable)

    # -------------------------------------------------------------------------------------------------------------------------- actors

    def create_actor(self, cls: ActorClass[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> ActorHandle:
        """Creates an actor; with a name, waits for the node to say whose the name is."""
        from thornback._actor import ActorHandle

        declaration = cls._declaration
        if declaration is None or declaration.runtime is not self:
            with self._declare_lock:
                definition = cls._definition
                declaration = cls._declaration = self.declare(
                    name=cls._name,
                    options=cls._options,
                    returns=1,
                    code=self._code(definition) if definition is not None else None,
                    portable=definition is None,
                    contract=cls._contract,
                )
        options = actor_pb2.ActorOptions()
        cls._options.fill_actor(options, cls._interface)
        options.interface = cls._interface.packed
        encoded, keep = self._encode_args(args, kwargs, declaration.portable, frames.SHORT_ARG_SUBMIT, frames.ARG_SUBMIT)
        id = self.ids.prefix() + frames.INDEX_SELF
        self._state[id] = ACTOR
        handle = ActorHandle(id, self, cls._interface)
        if not options.name:
            body = frames.ID_1 + id + declaration.suffix_submit + encoded + frames.field(4, options.SerializeToString())
            job = _JOB.get()
            if job is not None:
                body += frames.PARENT_CALL + job.task
            self.session.post(frames.CREATE_ACTOR(body))
            del keep
            return handle
        # The same fields under the same numbers as `CreateActor`, so the arguments need no second encoding.
        body = frames.ID_1 + id + declaration.suffix_submit + encoded + frames.field(4, options.SerializeToString())
        try:
            info = self._request_bytes(frames.field(10, body)).actor
        except BaseException:
            # Nothing was created: its count is nobody's.
            self._state.pop(id, None)
            raise
        if not info.existed:
            return handle
        self._state.pop(id, None)
        return self._adopt_reply(info)

    def adopt_actor(self, id: bytes, class_name: str, interface: bytes) -> ActorHandle:
        """A handle of an actor that somebody else created."""
        from thornback._actor import ActorHandle, Interface

        self._retain(id, ACTOR)
        return ActorHandle(id, self, Interface.unpack(class_name, interface))

    def get_actor(self, name: str, namespace: str) -> ActorHandle:
        """A handle of the actor of that name."""
        info = self.request(get_actor=control_pb2.GetActor(name=name, namespace=namespace)).actor
        return self._adopt_reply(info)

    def _adopt_reply(self, info: control_pb2.ActorInfo) -> ActorHandle:
        handle = self.adopt_actor(info.actor, info.class_name, info.interface)
        # The reply itself came with a count (ACTOR-013), and the handle now has its own.
        self.session.post_quietly(frames.REFS(frames.ID_2 + info.actor))
        return handle

    def cancel(self, id: bytes, force: bool, recursive: bool) -> None:
        """Cancels the task that makes an object."""
        message = task_pb2.Cancel(id=id, force=force, recursive=recursive)
        self.session.post(frames.CANCEL(message.SerializeToString()))
        if force:
            # Only the node knows whether this is an actor's call, which force is not for. A refusal comes before a later reply.
            self.request(get_status=control_pb2.GetStatus())
            refused = self._refused_cancels.pop(id, None)
            if refused is not None:
                raise refused

    def kill(self, id: bytes, restart: bool, graceful: bool) -> None:
        """Ends an actor."""
        message = actor_pb2.Kill(actor=id, restart=restart, graceful=graceful)
        self.session.post(frames.KILL(message.SerializeToString()))

    # ------------------------------------------------------------------------------------------------------------------------- control

    def request(self, **kind: Any) -> control_pb2.Reply:
        """Sends a control request and waits for its reply. Raises the failure that it is answered with."""
        return self._request_bytes(control_pb2.Request(**kind).SerializeToString())

    def post_request(self, **kind: Any) -> None:
        """Sends a control request whose reply says nothing that the program needs. What follows in this session comes after it; if it
        fails after all, the user is told."""
        number = next(self._request_numbers)

        def answered() -> None:
            if isinstance(slot.value, control_pb2.Reply) and slot.value.WhichOneof("reply") == "failure":
                self._tell_user(f"the node refused {next(iter(kind))}: {slot.value.failure.message}")

        slot = self._requests[number] = Slot(answered)
        body = control_pb2.Request(**kind).SerializeToString()
        self.session.post(frames.REQUEST(b"\x08" + frames.varint(number) + body))

    def _request_bytes(self, body: bytes, deadline: float | None = None) -> control_pb2.Reply:
        number = next(self._request_numbers)
        slot = self._requests[number] = Slot()
        self.session.post_quietly(frames.REQUEST(b"\x08" + frames.varint(number) + body))
        if not self.session.wait(slot.done, deadline):
            self._requests.pop(number, None)
            raise _errors.GetTimeoutError("the node did not answer a request in time")
        if isinstance(slot.value, BaseException):
            raise slot.value
        reply: control_pb2.Reply = slot.value
        if reply.WhichOneof("reply") == "failure":
            raise _errors.from_failure(reply.failure)
        return reply

    def _handle_reply(self, message: control_pb2.Reply) -> None:
        slot = self._requests.pop(message.number, None)
        if slot is not None:
            copy = control_pb2.Reply()
            copy.CopyFrom(message)
            slot.set(copy)

    def _handle_refused(self, message: session_pb2.Refused) -> None:
        """An operation was not taken: whoever waits for what it would have given learns why."""
        failure = message.failure
        if message.id:
            # It may not be found any more: the frame is acknowledged before its last operation is taken (SESSION-063).
            if not self._fail_object(message.id, Failed(failure)) and not self._fail_returns(message.id, Failed(failure)):
                self._tell_user(f"the node refused an operation: {failure.message}")
            return
        refused = self.session.find_operation(message.seq, message.index)
        kind = refused.WhichOneof("op") if refused is not None else None
        operation = getattr(refused, kind) if kind is not None else None
        if kind in ("create", "fetch") and operation is not None:
            self.refuse_stored(kind, operation.object, lambda: _errors.from_failure(failure))
        elif kind == "watch" and operation is not None:
            for id in operation.objects:
                self._fail_object(id, Failed(failure))
        elif kind == "cancel" and operation is not None and operation.force:
            self._refused_cancels[operation.id] = _errors.from_failure(failure)
        elif kind == "request" and operation is not None:
            slot = self._requests.pop(operation.number, None)
            if slot is not None:
                slot.set(_errors.from_failure(failure))
        else:
            self._tell_user(f"the node refused an operation ({kind or 'unknown'}): {failure.message}")

    def _fail_returns(self, task: bytes, failed: Failed) -> bool:
        """Fails whatever a task would have made, and says whether that was anything."""
        index = 1
        while self._fail_object(task[:12] + index.to_bytes(4, "big"), failed):
            index += 1
        stream = self._streams.get(task)
        if stream is not None:
            stream.ended = True
            stream.failure = failed.failure
            self._complete_stream(stream)
            self._tell_stream(stream)
        return stream is not None or index > 1

    def _fail_object(self, id: bytes, failed: Failed) -> bool:
        if id not in self._state:
            return False
        self._state[id] = failed
        self._failures += 1
        for callback in self._callbacks.pop(id, ()):
            callback()
        return True

    def _handle_log(self, message: worker_pb2.Log) -> None:
        out = sys.stderr if message.stream == "stderr" else sys.stdout
        repeated = f" [repeated {message.repeated_count}x]" if message.repeated_count else ""
        text = "".join(f"({message.source}) {line}\n" for line in message.lines)
        if repeated:
            text = text[:-1] + repeated + "\n" if text else f"({message.source}){repeated}\n"
        try:
            out.write(text)
            out.flush()
        except (OSError, ValueError):
            pass  # Closed or broken; the program will notice by its own output.

    def _handle_notice(self, message: session_pb2.Notice) -> None:
        self._tell_user(message.failure.message)

    def _tell_user(self, text: str) -> None:
        try:
            sys.stderr.write(f"thornback: {text}\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            pass

    # --------------------------------------------------------------------------------------------------------------------------- end

    def _handle_close(self, error: BaseException) -> None:
        self.fail_all(error)
        for slot in list(self._requests.values()):
            if slot.value is None:
                slot.set(_errors.reraise(error))
        self._requests.clear()
        if self._told_on_close is not None:
            self._told_on_close(error)

    def collect_output(self) -> None:
        """Has the node send what workers have printed so far: it reads their pipes between answering two requests. For a program that
        ends; a node that does not answer is not waited for."""
        self.session.hurry()
        deadline = time.monotonic() + _LAST_OUTPUT_S
        try:
            for _ in range(2):
                self._request_bytes(control_pb2.Request(get_status=control_pb2.GetStatus()).SerializeToString(), deadline)
        except _errors.ThornbackError:
            pass  # The session is over, or as good as; there is nothing more to come.

    def close(self) -> None:
        """Says goodbye."""
        self.session.close()
