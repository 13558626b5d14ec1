"""Errors: one class for each thing that a program may want to tell apart.

::

    ThornbackError                         .code .message .details .task_id .actor_id .retryable
      TaskError                            user code raised; also an instance of what it raised   .cause .types .stack
      CancelledError                       DeadlineExceededError (TimeoutError)   GetTimeoutError (TimeoutError)
      WorkerDiedError                      OutOfMemoryError   NodeDiedError
      ActorError                           ActorDiedError     ActorUnavailableError
      ObjectLostError                      OwnerDiedError     ObjectNotFoundError   ReconstructionFailedError
      OutOfDiskError   StoreFullError      PendingCallsLimitError   StreamTooShortError   SignatureMismatchError
      ActorNameTakenError (ValueError)     ActorNotFoundError (ValueError)   FunctionNotFoundError (LookupError)
      UnserializableError (TypeError)      UnsupportedFormatError (TypeError)   WrongArityError (TypeError)
      InvalidArgumentError (ValueError)    InfeasibleError   WorkerStartFailedError   LimitExceededError
      PlacementGroupRemovedError           PlacementGroupNotFoundError
      ConnectionLostError (ConnectionError)   PermissionDeniedError (PermissionError)   UnauthenticatedError
      SessionExpiredError   ShuttingDownError   ProtocolError   InternalError

An error crosses the wire as a `Failure` (``protocol/proto/thornback/v1/failure.proto``). What another language raised arrives as a
`TaskError` with its type names, its stack as text, and its causes as a chain of `__cause__`.
"""

from __future__ import annotations

import enum
import os
import pickle
import traceback
from types import TracebackType
from typing import Any, ClassVar, Final

from thornback._gen import failure_pb2

_CHAIN_MAX: Final = 16
"""Longer chains of causes are cut; a chain may even be a circle."""
_TEXT_MAX: Final = 64 * 1024
_HERE: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Code(enum.IntEnum):
    """The registry of error codes (``protocol/errors/codes.yaml``)."""

    INTERNAL = 1
    INVALID_ARGUMENT = 2
    UNKNOWN_OPERATION = 3
    UNSUPPORTED_VERSION = 4
    UNAUTHENTICATED = 5
    PERMISSION_DENIED = 6
    FRAME_TOO_LARGE = 7
    MALFORMED_FRAME = 8
    FLOW_CONTROL = 9
    SEQUENCE_GAP = 10
    SESSION_EXPIRED = 11
    FEATURE_NOT_AGREED = 12
    DUPLICATE_ID = 13
    SHUTTING_DOWN = 14
    LIMIT_EXCEEDED = 15
    GET_TIMEOUT = 16
    CONNECTION_LOST = 17
    NOT_HELLO = 18
    FUNCTION_NOT_FOUND = 20
    WRONG_ARITY = 21
    UNSUPPORTED_FORMAT = 22
    UNSERIALIZABLE = 23
    TASK_FAILED = 24
    CANCELLED = 25
    DEADLINE_EXCEEDED = 26
    WORKER_DIED = 27
    OUT_OF_MEMORY = 28
    WORKER_START_FAILED = 29
    INFEASIBLE = 30
    NODE_DIED = 31
    STREAM_TOO_SHORT = 33
    SIGNATURE_MISMATCH = 34
    ACTOR_DIED = 40
    ACTOR_UNAVAILABLE = 41
    ACTOR_NAME_TAKEN = 42
    ACTOR_NOT_FOUND = 43
    PENDING_CALLS_LIMIT = 44
    OBJECT_LOST = 50
    OWNER_DIED = 51
    OBJECT_NOT_FOUND = 52
    OUT_OF_DISK = 53
    STORE_FULL = 54
    RECONSTRUCTION_FAILED = 55
    PLACEMENT_GROUP_REMOVED = 60
    PLACEMENT_GROUP_NOT_FOUND = 61


_RETRYABLE: Final = frozenset(
    {
        Code.SHUTTING_DOWN,
        Code.GET_TIMEOUT,
        Code.CONNECTION_LOST,
        Code.DEADLINE_EXCEEDED,
        Code.WORKER_DIED,
        Code.OUT_OF_MEMORY,
        Code.INFEASIBLE,
        Code.NODE_DIED,
        Code.ACTOR_UNAVAILABLE,
        Code.PENDING_CALLS_LIMIT,
        Code.OUT_OF_DISK,
        Code.STORE_FULL,
    }
)


class ThornbackError(Exception):
    """Every error of Thornback."""

    default_code: ClassVar[Code] = Code.INTERNAL
    code: int
    """A number of `Code`, or one that only a later version of the server knows."""
    message: str
    details: dict[str, str]
    """Particulars for programs; which ones depends on the code."""
    task_id: bytes
    """The task that failed, or empty."""
    actor_id: bytes
    """The actor that it ran on, or empty."""

    def __init__(self, message: str = "", failure: failure_pb2.Failure | None = None) -> None:
        super().__init__(message)
        self._tell(message, failure)

    def _tell(self, message: str, failure: failure_pb2.Failure | None) -> None:
        self.message = message
        self.failure = failure
        if failure is None:
            self.code = self.default_code
            self.details = {}
            self.task_id = self.actor_id = b""
        else:
            self.code = failure.code
            self.details = dict(failure.details)
            self.task_id = failure.task
            self.actor_id = failure.actor

    @property
    def retryable(self) -> bool:
        """Whether doing the same again may succeed."""
        return self.code in _RETRYABLE

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        if self.failure is not None:
            return _from_failure_bytes, (self.failure.SerializeToString(),)
        return type(self), (self.message,)


class TaskError(ThornbackError):
    """User code raised an exception in a task or an actor.

    What is caught is also an instance of the exception's own type, if that type is known here and can be derived from, so
    ``except KeyError`` works; attributes of the original can be read from it. `cause` is the original itself.
    """

    default_code = Code.TASK_FAILED
    cause: BaseException | None = None
    """The exception that was raised, or None if it is of another language or could not be pickled."""
    types: tuple[str, ...] = ()
    """Names of the exception's type and of those that it derives from, most derived first."""
    stack: str = ""
    """The traceback, as the worker's language prints it."""
    language: str = ""

    def __str__(self) -> str:
        return f"{self.message}\n\n{self.stack}" if self.stack else self.message


class CancelledError(ThornbackError):
    """The task was cancelled."""

    default_code = Code.CANCELLED


class DeadlineExceededError(ThornbackError, TimeoutError):
    """The task did not finish by its deadline."""

    default_code = Code.DEADLINE_EXCEEDED


class GetTimeoutError(ThornbackError, TimeoutError):
    """A `get` ran out of time. The object may still become ready; `get` it again."""

    default_code = Code.GET_TIMEOUT


class WorkerDiedError(ThornbackError):
    """The worker process ended while it ran the task, and no retry was left."""

    default_code = Code.WORKER_DIED


class OutOfMemoryError(WorkerDiedError):
    """The worker was ended because the node ran out of memory."""

    default_code = Code.OUT_OF_MEMORY


class NodeDiedError(WorkerDiedError):
    """The node that ran the task is gone, and no retry was left."""

    default_code = Code.NODE_DIED


class ActorError(ThornbackError):
    """A call on an actor was not answered."""

    default_code = Code.ACTOR_DIED


class ActorDiedError(ActorError):
    """The actor is dead for good."""


class ActorUnavailableError(ActorError):
    """The actor was lost during the call and is restarting. The call may have run or not."""

    default_code = Code.ACTOR_UNAVAILABLE


class ObjectLostError(ThornbackError):
    """All copies of the object are gone and it cannot be made again."""

    default_code = Code.OBJECT_LOST


class OwnerDiedError(ObjectLostError):
    """The owner of the object is gone."""

    default_code = Code.OWNER_DIED


class ObjectNotFoundError(ObjectLostError):
    """Nobody knows the object: it was freed, or never existed."""

    default_code = Code.OBJECT_NOT_FOUND


class ReconstructionFailedError(ObjectLostError):
    """The object was lost more often than its task may be run again."""

    default_code = Code.RECONSTRUCTION_FAILED


class OutOfDiskError(ThornbackError):
    """The object store is full and nothing more can be spilled to disk."""

    default_code = Code.OUT_OF_DISK


class StoreFullError(ThornbackError):
    """The object is larger than the store, or what fills the store is all in use."""

    default_code = Code.STORE_FULL


class PendingCallsLimitError(ThornbackError):
    """The handle has `max_pending_calls` calls waiting."""

    default_code = Code.PENDING_CALLS_LIMIT


class StreamTooShortError(ThornbackError):
    """A generator of fixed length yielded too few items."""

    default_code = Code.STREAM_TOO_SHORT


class SignatureMismatchError(ThornbackError):
    """What is served has another signature than what is expected of it."""

    default_code = Code.SIGNATURE_MISMATCH


class ActorNameTakenError(ThornbackError, ValueError):
    """A live actor has that name in that namespace."""

    default_code = Code.ACTOR_NAME_TAKEN


class ActorNotFoundError(ThornbackError, ValueError):
    """No live actor has that name or id."""

    default_code = Code.ACTOR_NOT_FOUND


class FunctionNotFoundError(ThornbackError, LookupError):
    """No pool serves the function."""

    default_code = Code.FUNCTION_NOT_FOUND


class WrongArityError(ThornbackError, TypeError):
    """The call has too few or too many arguments, or an unknown keyword."""

    default_code = Code.WRONG_ARITY


class UnserializableError(ThornbackError, TypeError):
    """The value cannot be encoded."""

    default_code = Code.UNSERIALIZABLE


class UnsupportedFormatError(ThornbackError, TypeError):
    """The value is in a format that the receiver cannot read."""

    default_code = Code.UNSUPPORTED_FORMAT


class InvalidArgumentError(ThornbackError, ValueError):
    """An argument of an operation has no meaning."""

    default_code = Code.INVALID_ARGUMENT


class MisfitError(InvalidArgumentError):
    """A value does not fit the interface that says what it is. Of an argument the caller is told so, since user code never saw it."""


class InfeasibleError(ThornbackError):
    """No node has the resources that are asked for."""

    default_code = Code.INFEASIBLE


class WorkerStartFailedError(ThornbackError):
    """The pool's command does not give a worker."""

    default_code = Code.WORKER_START_FAILED


class LimitExceededError(ThornbackError):
    """A limit of the server would be passed."""

    default_code = Code.LIMIT_EXCEEDED


class PlacementGroupRemovedError(ThornbackError):
    """The placement group of the task or actor was removed."""

    default_code = Code.PLACEMENT_GROUP_REMOVED


class PlacementGroupNotFoundError(ThornbackError):
    """Nobody knows the placement group."""

    default_code = Code.PLACEMENT_GROUP_NOT_FOUND


class ConnectionLostError(ThornbackError, ConnectionError):
    """The connection to the node is gone and could not be resumed."""

    default_code = Code.CONNECTION_LOST


class SessionExpiredError(ConnectionLostError):
    """The session to resume is gone."""

    default_code = Code.SESSION_EXPIRED


class ShuttingDownError(ConnectionLostError):
    """The server is stopping."""

    default_code = Code.SHUTTING_DOWN


class PermissionDeniedError(ThornbackError, PermissionError):
    """The session has no right to what it names."""

    default_code = Code.PERMISSION_DENIED


class UnauthenticatedError(PermissionDeniedError):
    """The token is missing or wrong."""

    default_code = Code.UNAUTHENTICATED


class ProtocolError(ThornbackError):
    """The two sides disagree about the protocol; one of them has a defect or is of another version."""

    default_code = Code.MALFORMED_FRAME


class InternalError(ThornbackError):
    """A defect of the server."""


_CLASSES: Final[dict[int, type[ThornbackError]]] = {
    Code.INTERNAL: InternalError,
    Code.INVALID_ARGUMENT: InvalidArgumentError,
    Code.UNAUTHENTICATED: UnauthenticatedError,
    Code.PERMISSION_DENIED: PermissionDeniedError,
    Code.SESSION_EXPIRED: SessionExpiredError,
    Code.SHUTTING_DOWN: ShuttingDownError,
    Code.LIMIT_EXCEEDED: LimitExceededError,
    Code.GET_TIMEOUT: GetTimeoutError,
    Code.CONNECTION_LOST: ConnectionLostError,
    Code.FUNCTION_NOT_FOUND: FunctionNotFoundError,
    Code.WRONG_ARITY: WrongArityError,
    Code.UNSUPPORTED_FORMAT: UnsupportedFormatError,
    Code.UNSERIALIZABLE: UnserializableError,
    Code.TASK_FAILED: TaskError,
    Code.CANCELLED: CancelledError,
    Code.DEADLINE_EXCEEDED: DeadlineExceededError,
    Code.WORKER_DIED: WorkerDiedError,
    Code.OUT_OF_MEMORY: OutOfMemoryError,
    Code.WORKER_START_FAILED: WorkerStartFailedError,
    Code.INFEASIBLE: InfeasibleError,
    Code.NODE_DIED: NodeDiedError,
    Code.STREAM_TOO_SHORT: StreamTooShortError,
    Code.SIGNATURE_MISMATCH: SignatureMismatchError,
    Code.ACTOR_DIED: ActorDiedError,
    Code.ACTOR_UNAVAILABLE: ActorUnavailableError,
    Code.ACTOR_NAME_TAKEN: ActorNameTakenError,
    Code.ACTOR_NOT_FOUND: ActorNotFoundError,
    Code.PENDING_CALLS_LIMIT: PendingCallsLimitError,
    Code.OBJECT_LOST: ObjectLostError,
    Code.OWNER_DIED: OwnerDiedError,
    Code.OBJECT_NOT_FOUND: ObjectNotFoundError,
    Code.OUT_OF_DISK: OutOfDiskError,
    Code.STORE_FULL: StoreFullError,
    Code.RECONSTRUCTION_FAILED: ReconstructionFailedError,
    Code.PLACEMENT_GROUP_REMOVED: PlacementGroupRemovedError,
    Code.PLACEMENT_GROUP_NOT_FOUND: PlacementGroupNotFoundError,
    **dict.fromkeys(
        (
            Code.UNKNOWN_OPERATION,
            Code.UNSUPPORTED_VERSION,
            Code.FRAME_TOO_LARGE,
            Code.MALFORMED_FRAME,
            Code.FLOW_CONTROL,
            Code.SEQUENCE_GAP,
            Code.FEATURE_NOT_AGREED,
            Code.DUPLICATE_ID,
            Code.NOT_HELLO,
        ),
        ProtocolError,
    ),
}

for _class in {ThornbackError, ActorError, *_CLASSES.values()}:
    # What users import, print and compare with `Failure.types`.
    _class.__module__ = "thornback"


# ------------------------------------------------------------------------------------------------------------------- Failure → exception


def from_failure(failure: failure_pb2.Failure) -> ThornbackError:
    """The exception that stands for a failure. A new one at each call, so that tracebacks do not pile up on it."""
    return _from_failure(failure, 0)


def _from_failure(failure: failure_pb2.Failure, depth: int) -> ThornbackError:
    below = _from_failure(failure.cause, depth + 1) if failure.HasField("cause") and depth < _CHAIN_MAX else None
    if failure.code != Code.TASK_FAILED:
        error = _CLASSES.get(failure.code, ThornbackError)(failure.message, failure)
        error.__cause__ = below
        return error
    cause = _exception_of(failure)
    if cause is None:
        task_error = TaskError(failure.message, failure)
        task_error.__cause__ = below
    else:
        task_error = _as_its_own_type(failure, cause)
        cause.__cause__ = below
        task_error.__cause__ = cause
    task_error.cause = cause
    task_error.types = tuple(failure.types)
    task_error.stack = failure.stack
    task_error.language = failure.language
    return task_error


def _from_failure_bytes(data: bytes) -> ThornbackError:
    return from_failure(failure_pb2.Failure.FromString(data))


def _exception_of(failure: failure_pb2.Failure) -> BaseException | None:
    """The exception object that travelled with the failure, if it can be read here."""
    if not failure.HasField("exception") or failure.exception.schema != "python/pickle5":
        return None
    try:
        value = pickle.loads(failure.exception.data, buffers=failure.exception.buffers)
    except Exception:
        return None  # Its class may not be importable here; its text and type names still are.
    return value if isinstance(value, BaseException) else None


_types: dict[type[BaseException], type[TaskError]] = {}


def _as_its_own_type(failure: failure_pb2.Failure, cause: BaseException) -> TaskError:
    """A `TaskError` that is also of the type of `cause`."""
    if isinstance(cause, TaskError):
        # Raised by a task that waited for another: it is what that other one raised.
        inner = cause.cause
        if inner is None:
            return TaskError(failure.message, failure)
        return _as_its_own_type(failure, inner)
    cls = _types.get(type(cause))
    if cls is None:
        cls = _types[type(cause)] = _derive(type(cause))
    if cls is TaskError:
        return TaskError(failure.message, failure)
    error = cls.__new__(cls, *cause.args)
    builtin: Any = next(base for base in type(cause).__mro__ if base.__module__ == "builtins")
    try:
        # Fills what lies outside `__dict__`, such as `OSError.errno`. The user's own `__init__` is not run a second time.
        builtin.__init__(error, *cause.args)
    except Exception:
        error.args = cause.args
    for name, value in vars(cause).items():
        error.__dict__.setdefault(name, value)
    error._tell(failure.message, failure)
    return error


def _derive(of: type[BaseException]) -> type[TaskError]:
    def attribute(self: TaskError, name: str) -> Any:
        if name.startswith("__") or name == "cause":
            raise AttributeError(name)
        return getattr(self.cause, name)

    try:
        cls = type(
            f"TaskError({of.__name__})", (TaskError, of), {"__module__": "thornback", "__qualname__": f"TaskError({of.__qualname__})"}
        )
        cls.__getattr__ = attribute  # type: ignore[attr-defined]
    except TypeError:
        return TaskError  # A final class, or one whose layout does not go together with ours.
    return cls


def reraise(error: BaseException) -> BaseException:
    """A fresh copy of an error that is raised in many places."""
    if isinstance(error, ThornbackError):
        copy = _from_failure_bytes(error.failure.SerializeToString()) if error.failure is not None else type(error)(error.message)
        copy.__cause__ = error.__cause__
        return copy
    return error


# ------------------------------------------------------------------------------------------------------------------- exception → Failure


def to_failure(error: BaseException, *, task: bytes = b"", actor: bytes = b"") -> failure_pb2.Failure:
    """The failure that tells another process of an exception of user code. The exception object itself is the caller's to add."""
    failure = _describe(error, 0, set())
    failure.task = task
    failure.actor = actor
    return failure


def _describe(error: BaseException, depth: int, seen: set[int]) -> failure_pb2.Failure:
    seen.add(id(error))
    failure = failure_pb2.Failure(
        code=Code.TASK_FAILED,
        message=_message(error),
        types=type_names(error),
        language="python",
        stack=_stack(error, error.__traceback__),
    )
    below: failure_pb2.Failure | None = None
    if isinstance(error, ThornbackError) and error.failure is not None:
        below = error.failure
        if isinstance(error, TaskError):
            failure.message = error.message
            failure.types[:] = error.types
    else:
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is not None and depth < _CHAIN_MAX and id(cause) not in seen:
            below = _describe(cause, depth + 1, seen)
    if below is not None:
        failure.cause.CopyFrom(below)
    return failure


def type_names(error: BaseException) -> list[str]:
    """Full names of the exception's types, most derived first."""
    names = [f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__ if cls is not object]
    return [name for name in names if not name.startswith("thornback.TaskError(")]


def type_name(kind: type[BaseException]) -> str:
    """The full name of an exception type, as `Failure.types` has it."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:
        text = f"<its __str__ raised {type(broken).__name__}>"
    text = text.encode("utf-8", "replace").decode()
    return f"{type(error).__name__}: {text}"[:_TEXT_MAX] if text else type(error).__name__


def _stack(error: BaseException, trace: TracebackType | None) -> str:
    # Our own frames come first, and tell the author of the task nothing.
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename.startswith(_HERE):
        trace = trace.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, trace, chain=False))
    except Exception:
        text = "".join(traceback.format_tb(trace))
    return text.encode("utf-8", "replace").decode()[-_TEXT_MAX:].rstrip("\n")
