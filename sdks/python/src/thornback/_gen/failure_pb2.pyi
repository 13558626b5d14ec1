# Generated from protocol/ by `cargo xtask gen`. Do not edit.
from thornback._gen import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Failure(_message.Message):
    __slots__ = ("code", "message", "types", "language", "stack", "cause", "task", "actor", "details", "exception")
    class DetailsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    STACK_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    EXCEPTION_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    types: _containers.RepeatedScalarFieldContainer[str]
    language: str
    stack: str
    cause: Failure
    task: bytes
    actor: bytes
    details: _containers.ScalarMap[str, str]
    exception: _value_pb2.Value
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., types: _Optional[_Iterable[str]] = ..., language: _Optional[str] = ..., stack: _Optional[str] = ..., cause: _Optional[_Union[Failure, _Mapping]] = ..., task: _Optional[bytes] = ..., actor: _Optional[bytes] = ..., details: _Optional[_Mapping[str, str]] = ..., exception: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
