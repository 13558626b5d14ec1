# Generated from protocol/ by `cargo xtask gen`. Do not edit.
from thornback._gen import value_pb2 as _value_pb2
from thornback._gen import failure_pb2 as _failure_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Resources(_message.Message):
    __slots__ = ("amounts",)
    class AmountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    amounts: _containers.ScalarMap[str, int]
    def __init__(self, amounts: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Declare(_message.Message):
    __slots__ = ("number", "function", "code", "pool", "resources", "returns", "max_retries", "retry_exceptions", "retry_types", "name", "stream_window", "accepts", "deadline_ms", "placement_group", "bundle", "node", "soft", "spread", "signature")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    RETURNS_FIELD_NUMBER: _ClassVar[int]
    MAX_RETRIES_FIELD_NUMBER: _ClassVar[int]
    RETRY_EXCEPTIONS_FIELD_NUMBER: _ClassVar[int]
    RETRY_TYPES_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STREAM_WINDOW_FIELD_NUMBER: _ClassVar[int]
    ACCEPTS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_GROUP_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    SOFT_FIELD_NUMBER: _ClassVar[int]
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    number: int
    function: str
    code: bytes
    pool: str
    resources: Resources
    returns: int
    max_retries: int
    retry_exceptions: bool
    retry_types: _containers.RepeatedScalarFieldContainer[str]
    name: str
    stream_window: int
    accepts: _containers.RepeatedScalarFieldContainer[str]
    deadline_ms: int
    placement_group: bytes
    bundle: int
    node: bytes
    soft: bool
    spread: bool
    signature: str
    def __init__(self, number: _Optional[int] = ..., function: _Optional[str] = ..., code: _Optional[bytes] = ..., pool: _Optional[str] = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., returns: _Optional[int] = ..., max_retries: _Optional[int] = ..., retry_exceptions: bool = ..., retry_types: _Optional[_Iterable[str]] = ..., name: _Optional[str] = ..., stream_window: _Optional[int] = ..., accepts: _Optional[_Iterable[str]] = ..., deadline_ms: _Optional[int] = ..., placement_group: _Optional[bytes] = ..., bundle: _Optional[int] = ..., node: _Optional[bytes] = ..., soft: bool = ..., spread: bool = ..., signature: _Optional[str] = ...) -> None: ...

class Submit(_message.Message):
    __slots__ = ("task", "declaration", "args", "parent")
    TASK_FIELD_NUMBER: _ClassVar[int]
    DECLARATION_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    declaration: int
    args: _containers.RepeatedCompositeFieldContainer[_value_pb2.Arg]
    parent: bytes
    def __init__(self, task: _Optional[bytes] = ..., declaration: _Optional[int] = ..., args: _Optional[_Iterable[_Union[_value_pb2.Arg, _Mapping]]] = ..., parent: _Optional[bytes] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("id", "force", "recursive")
    ID_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    force: bool
    recursive: bool
    def __init__(self, id: _Optional[bytes] = ..., force: bool = ..., recursive: bool = ...) -> None: ...

class Completion(_message.Message):
    __slots__ = ("object", "value", "failure", "stored")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    object: bytes
    value: _value_pb2.Value
    failure: _failure_pb2.Failure
    stored: int
    def __init__(self, object: _Optional[bytes] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., stored: _Optional[int] = ...) -> None: ...

class StreamEnd(_message.Message):
    __slots__ = ("task", "count", "failure")
    TASK_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    count: int
    failure: _failure_pb2.Failure
    def __init__(self, task: _Optional[bytes] = ..., count: _Optional[int] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class Consumed(_message.Message):
    __slots__ = ("task", "count")
    TASK_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    count: int
    def __init__(self, task: _Optional[bytes] = ..., count: _Optional[int] = ...) -> None: ...
