# Generated from protocol/ by `cargo xtask gen`. Do not edit.
from thornback._gen import value_pb2 as _value_pb2
from thornback._gen import failure_pb2 as _failure_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Put(_message.Message):
    __slots__ = ("object", "value")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    object: bytes
    value: _value_pb2.Value
    def __init__(self, object: _Optional[bytes] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...

class Create(_message.Message):
    __slots__ = ("object", "size", "task", "attempt")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    object: bytes
    size: int
    task: bytes
    attempt: int
    def __init__(self, object: _Optional[bytes] = ..., size: _Optional[int] = ..., task: _Optional[bytes] = ..., attempt: _Optional[int] = ...) -> None: ...

class Created(_message.Message):
    __slots__ = ("object", "location", "failure")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    object: bytes
    location: _value_pb2.Location
    failure: _failure_pb2.Failure
    def __init__(self, object: _Optional[bytes] = ..., location: _Optional[_Union[_value_pb2.Location, _Mapping]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class Write(_message.Message):
    __slots__ = ("object", "offset", "data")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    object: bytes
    offset: int
    data: bytes
    def __init__(self, object: _Optional[bytes] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Seal(_message.Message):
    __slots__ = ("object", "refs")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    REFS_FIELD_NUMBER: _ClassVar[int]
    object: bytes
    refs: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, object: _Optional[bytes] = ..., refs: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Abort(_message.Message):
    __slots__ = ("object",)
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    object: bytes
    def __init__(self, object: _Optional[bytes] = ...) -> None: ...

class Arena(_message.Message):
    __slots__ = ("number", "size", "writable")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    WRITABLE_FIELD_NUMBER: _ClassVar[int]
    number: int
    size: int
    writable: bool
    def __init__(self, number: _Optional[int] = ..., size: _Optional[int] = ..., writable: bool = ...) -> None: ...

class Watch(_message.Message):
    __slots__ = ("objects",)
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, objects: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Fetch(_message.Message):
    __slots__ = ("object", "quiet")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    QUIET_FIELD_NUMBER: _ClassVar[int]
    object: bytes
    quiet: bool
    def __init__(self, object: _Optional[bytes] = ..., quiet: bool = ...) -> None: ...

class Located(_message.Message):
    __slots__ = ("object", "location", "value", "failure")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    object: bytes
    location: _value_pb2.Location
    value: _value_pb2.Value
    failure: _failure_pb2.Failure
    def __init__(self, object: _Optional[bytes] = ..., location: _Optional[_Union[_value_pb2.Location, _Mapping]] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("object", "offset", "data")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    object: bytes
    offset: int
    data: bytes
    def __init__(self, object: _Optional[bytes] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("objects",)
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, objects: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Refs(_message.Message):
    __slots__ = ("retain", "drop")
    RETAIN_FIELD_NUMBER: _ClassVar[int]
    DROP_FIELD_NUMBER: _ClassVar[int]
    retain: _containers.RepeatedScalarFieldContainer[bytes]
    drop: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, retain: _Optional[_Iterable[bytes]] = ..., drop: _Optional[_Iterable[bytes]] = ...) -> None: ...
