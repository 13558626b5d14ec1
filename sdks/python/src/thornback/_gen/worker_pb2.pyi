# Generated from protocol/ by `cargo xtask gen`. Do not edit.
from thornback._gen import value_pb2 as _value_pb2
from thornback._gen import failure_pb2 as _failure_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Function(_message.Message):
    __slots__ = ("name", "min_args", "max_args", "actor", "signature")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MIN_ARGS_FIELD_NUMBER: _ClassVar[int]
    MAX_ARGS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    name: str
    min_args: int
    max_args: int
    actor: bool
    signature: str
    def __init__(self, name: _Optional[str] = ..., min_args: _Optional[int] = ..., max_args: _Optional[int] = ..., actor: bool = ..., signature: _Optional[str] = ...) -> None: ...

class Announce(_message.Message):
    __slots__ = ("functions",)
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    functions: _containers.RepeatedCompositeFieldContainer[Function]
    def __init__(self, functions: _Optional[_Iterable[_Union[Function, _Mapping]]] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("task", "attempt", "declaration", "args", "actor", "setup")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DECLARATION_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    SETUP_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    attempt: int
    declaration: int
    args: _containers.RepeatedCompositeFieldContainer[_value_pb2.Arg]
    actor: bytes
    setup: ActorSetup
    def __init__(self, task: _Optional[bytes] = ..., attempt: _Optional[int] = ..., declaration: _Optional[int] = ..., args: _Optional[_Iterable[_Union[_value_pb2.Arg, _Mapping]]] = ..., actor: _Optional[bytes] = ..., setup: _Optional[_Union[ActorSetup, _Mapping]] = ...) -> None: ...

class ActorSetup(_message.Message):
    __slots__ = ("max_concurrency", "asynchronous", "restarts", "name")
    MAX_CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    ASYNCHRONOUS_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    max_concurrency: int
    asynchronous: bool
    restarts: int
    name: str
    def __init__(self, max_concurrency: _Optional[int] = ..., asynchronous: bool = ..., restarts: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ("task", "attempt", "results", "failure", "yielded")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    YIELDED_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    attempt: int
    results: _containers.RepeatedCompositeFieldContainer[Result]
    failure: _failure_pb2.Failure
    yielded: int
    def __init__(self, task: _Optional[bytes] = ..., attempt: _Optional[int] = ..., results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., yielded: _Optional[int] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("value", "stored")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    value: _value_pb2.Value
    stored: bool
    def __init__(self, value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., stored: bool = ...) -> None: ...

class Yield(_message.Message):
    __slots__ = ("task", "attempt", "index", "item")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    attempt: int
    index: int
    item: Result
    def __init__(self, task: _Optional[bytes] = ..., attempt: _Optional[int] = ..., index: _Optional[int] = ..., item: _Optional[_Union[Result, _Mapping]] = ...) -> None: ...

class Resume(_message.Message):
    __slots__ = ("task", "attempt", "consumed")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    attempt: int
    consumed: int
    def __init__(self, task: _Optional[bytes] = ..., attempt: _Optional[int] = ..., consumed: _Optional[int] = ...) -> None: ...

class Interrupt(_message.Message):
    __slots__ = ("task", "attempt", "code")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    attempt: int
    code: int
    def __init__(self, task: _Optional[bytes] = ..., attempt: _Optional[int] = ..., code: _Optional[int] = ...) -> None: ...

class Recall(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, tasks: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Returned(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, tasks: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Blocked(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    def __init__(self, task: _Optional[bytes] = ...) -> None: ...

class Unblocked(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    def __init__(self, task: _Optional[bytes] = ...) -> None: ...

class Log(_message.Message):
    __slots__ = ("stream", "source", "lines", "repeated_count")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    REPEATED_COUNT_FIELD_NUMBER: _ClassVar[int]
    stream: str
    source: str
    lines: _containers.RepeatedScalarFieldContainer[str]
    repeated_count: int
    def __init__(self, stream: _Optional[str] = ..., source: _Optional[str] = ..., lines: _Optional[_Iterable[str]] = ..., repeated_count: _Optional[int] = ...) -> None: ...
