# Generated from protocol/ by `cargo xtask gen`. Do not edit.
from thornback._gen import value_pb2 as _value_pb2
from thornback._gen import failure_pb2 as _failure_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ActorOptions(_message.Message):
    __slots__ = ("name", "namespace", "get_if_exists", "detached", "max_restarts", "max_task_retries", "max_concurrency", "max_pending_calls", "asynchronous", "hold_resources", "interface")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    GET_IF_EXISTS_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    MAX_RESTARTS_FIELD_NUMBER: _ClassVar[int]
    MAX_TASK_RETRIES_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    MAX_PENDING_CALLS_FIELD_NUMBER: _ClassVar[int]
    ASYNCHRONOUS_FIELD_NUMBER: _ClassVar[int]
    HOLD_RESOURCES_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    namespace: str
    get_if_exists: bool
    detached: bool
    max_restarts: int
    max_task_retries: int
    max_concurrency: int
    max_pending_calls: int
    asynchronous: bool
    hold_resources: bool
    interface: bytes
    def __init__(self, name: _Optional[str] = ..., namespace: _Optional[str] = ..., get_if_exists: bool = ..., detached: bool = ..., max_restarts: _Optional[int] = ..., max_task_retries: _Optional[int] = ..., max_concurrency: _Optional[int] = ..., max_pending_calls: _Optional[int] = ..., asynchronous: bool = ..., hold_resources: bool = ..., interface: _Optional[bytes] = ...) -> None: ...

class CreateActor(_message.Message):
    __slots__ = ("actor", "declaration", "args", "options", "parent")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    DECLARATION_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    declaration: int
    args: _containers.RepeatedCompositeFieldContainer[_value_pb2.Arg]
    options: ActorOptions
    parent: bytes
    def __init__(self, actor: _Optional[bytes] = ..., declaration: _Optional[int] = ..., args: _Optional[_Iterable[_Union[_value_pb2.Arg, _Mapping]]] = ..., options: _Optional[_Union[ActorOptions, _Mapping]] = ..., parent: _Optional[bytes] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("task", "actor", "declaration", "args", "parent")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    DECLARATION_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    actor: bytes
    declaration: int
    args: _containers.RepeatedCompositeFieldContainer[_value_pb2.Arg]
    parent: bytes
    def __init__(self, task: _Optional[bytes] = ..., actor: _Optional[bytes] = ..., declaration: _Optional[int] = ..., args: _Optional[_Iterable[_Union[_value_pb2.Arg, _Mapping]]] = ..., parent: _Optional[bytes] = ...) -> None: ...

class Kill(_message.Message):
    __slots__ = ("actor", "restart", "graceful")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    GRACEFUL_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    restart: bool
    graceful: bool
    def __init__(self, actor: _Optional[bytes] = ..., restart: bool = ..., graceful: bool = ...) -> None: ...

class ActorExit(_message.Message):
    __slots__ = ("actor", "reason")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    reason: _failure_pb2.Failure
    def __init__(self, actor: _Optional[bytes] = ..., reason: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...
