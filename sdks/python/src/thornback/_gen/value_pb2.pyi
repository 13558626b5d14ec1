# Generated from protocol/ by `cargo xtask gen`. Do not edit.
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORMAT_UNSPECIFIED: _ClassVar[Format]
    FORMAT_RAW: _ClassVar[Format]
    FORMAT_MSGPACK: _ClassVar[Format]
    FORMAT_ARROW: _ClassVar[Format]
    FORMAT_TENSOR: _ClassVar[Format]
    FORMAT_PRIVATE: _ClassVar[Format]
FORMAT_UNSPECIFIED: Format
FORMAT_RAW: Format
FORMAT_MSGPACK: Format
FORMAT_ARROW: Format
FORMAT_TENSOR: Format
FORMAT_PRIVATE: Format

class Value(_message.Message):
    __slots__ = ("format", "data", "refs", "buffers", "schema")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    REFS_FIELD_NUMBER: _ClassVar[int]
    BUFFERS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    format: Format
    data: bytes
    refs: _containers.RepeatedScalarFieldContainer[bytes]
    buffers: _containers.RepeatedScalarFieldContainer[bytes]
    schema: str
    def __init__(self, format: _Optional[_Union[Format, str]] = ..., data: _Optional[bytes] = ..., refs: _Optional[_Iterable[bytes]] = ..., buffers: _Optional[_Iterable[bytes]] = ..., schema: _Optional[str] = ...) -> None: ...

class Location(_message.Message):
    __slots__ = ("arena", "offset", "size")
    ARENA_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    arena: int
    offset: int
    size: int
    def __init__(self, arena: _Optional[int] = ..., offset: _Optional[int] = ..., size: _Optional[int] = ...) -> None: ...

class Arg(_message.Message):
    __slots__ = ("value", "ref", "stored", "keyword")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    KEYWORD_FIELD_NUMBER: _ClassVar[int]
    value: Value
    ref: bytes
    stored: Stored
    keyword: str
    def __init__(self, value: _Optional[_Union[Value, _Mapping]] = ..., ref: _Optional[bytes] = ..., stored: _Optional[_Union[Stored, _Mapping]] = ..., keyword: _Optional[str] = ...) -> None: ...

class Stored(_message.Message):
    __slots__ = ("object", "location")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    object: bytes
    location: Location
    def __init__(self, object: _Optional[bytes] = ..., location: _Optional[_Union[Location, _Mapping]] = ...) -> None: ...
