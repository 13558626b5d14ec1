# Generated from protocol/ by `cargo xtask gen`. Do not edit.
from thornback._gen import task_pb2 as _task_pb2
from thornback._gen import actor_pb2 as _actor_pb2
from thornback._gen import object_pb2 as _object_pb2
from thornback._gen import worker_pb2 as _worker_pb2
from thornback._gen import control_pb2 as _control_pb2
from thornback._gen import failure_pb2 as _failure_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_DRIVER: _ClassVar[Role]
    ROLE_WORKER: _ClassVar[Role]
ROLE_UNSPECIFIED: Role
ROLE_DRIVER: Role
ROLE_WORKER: Role

class ClientFrame(_message.Message):
    __slots__ = ("seq", "ack", "ops")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    OPS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    ack: int
    ops: _containers.RepeatedCompositeFieldContainer[ClientOp]
    def __init__(self, seq: _Optional[int] = ..., ack: _Optional[int] = ..., ops: _Optional[_Iterable[_Union[ClientOp, _Mapping]]] = ...) -> None: ...

class ServerFrame(_message.Message):
    __slots__ = ("seq", "ack", "ops")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    OPS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    ack: int
    ops: _containers.RepeatedCompositeFieldContainer[ServerOp]
    def __init__(self, seq: _Optional[int] = ..., ack: _Optional[int] = ..., ops: _Optional[_Iterable[_Union[ServerOp, _Mapping]]] = ...) -> None: ...

class ClientOp(_message.Message):
    __slots__ = ("hello", "credit", "ping", "pong", "goodbye", "declare", "submit", "call", "create_actor", "cancel", "kill", "put", "create", "write", "seal", "abort", "watch", "fetch", "release", "refs", "request", "consumed", "done", "blocked", "unblocked", "returned", "announce", "actor_exit")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    DECLARE_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    CREATE_ACTOR_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    KILL_FIELD_NUMBER: _ClassVar[int]
    PUT_FIELD_NUMBER: _ClassVar[int]
    CREATE_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    ABORT_FIELD_NUMBER: _ClassVar[int]
    WATCH_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    REFS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    YIELD_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    UNBLOCKED_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_EXIT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    credit: Credit
    ping: Ping
    pong: Pong
    goodbye: Goodbye
    declare: _task_pb2.Declare
    submit: _task_pb2.Submit
    call: _actor_pb2.Call
    create_actor: _actor_pb2.CreateActor
    cancel: _task_pb2.Cancel
    kill: _actor_pb2.Kill
    put: _object_pb2.Put
    create: _object_pb2.Create
    write: _object_pb2.Write
    seal: _object_pb2.Seal
    abort: _object_pb2.Abort
    watch: _object_pb2.Watch
    fetch: _object_pb2.Fetch
    release: _object_pb2.Release
    refs: _object_pb2.Refs
    request: _control_pb2.Request
    consumed: _task_pb2.Consumed
    done: _worker_pb2.Done
    blocked: _worker_pb2.Blocked
    unblocked: _worker_pb2.Unblocked
    returned: _worker_pb2.Returned
    announce: _worker_pb2.Announce
    actor_exit: _actor_pb2.ActorExit
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., declare: _Optional[_Union[_task_pb2.Declare, _Mapping]] = ..., submit: _Optional[_Union[_task_pb2.Submit, _Mapping]] = ..., call: _Optional[_Union[_actor_pb2.Call, _Mapping]] = ..., create_actor: _Optional[_Union[_actor_pb2.CreateActor, _Mapping]] = ..., cancel: _Optional[_Union[_task_pb2.Cancel, _Mapping]] = ..., kill: _Optional[_Union[_actor_pb2.Kill, _Mapping]] = ..., put: _Optional[_Union[_object_pb2.Put, _Mapping]] = ..., create: _Optional[_Union[_object_pb2.Create, _Mapping]] = ..., write: _Optional[_Union[_object_pb2.Write, _Mapping]] = ..., seal: _Optional[_Union[_object_pb2.Seal, _Mapping]] = ..., abort: _Optional[_Union[_object_pb2.Abort, _Mapping]] = ..., watch: _Optional[_Union[_object_pb2.Watch, _Mapping]] = ..., fetch: _Optional[_Union[_object_pb2.Fetch, _Mapping]] = ..., release: _Optional[_Union[_object_pb2.Release, _Mapping]] = ..., refs: _Optional[_Union[_object_pb2.Refs, _Mapping]] = ..., request: _Optional[_Union[_control_pb2.Request, _Mapping]] = ..., consumed: _Optional[_Union[_task_pb2.Consumed, _Mapping]] = ..., done: _Optional[_Union[_worker_pb2.Done, _Mapping]] = ..., blocked: _Optional[_Union[_worker_pb2.Blocked, _Mapping]] = ..., unblocked: _Optional[_Union[_worker_pb2.Unblocked, _Mapping]] = ..., returned: _Optional[_Union[_worker_pb2.Returned, _Mapping]] = ..., announce: _Optional[_Union[_worker_pb2.Announce, _Mapping]] = ..., actor_exit: _Optional[_Union[_actor_pb2.ActorExit, _Mapping]] = ..., **kwargs) -> None: ...

class ServerOp(_message.Message):
    __slots__ = ("welcome", "credit", "ping", "pong", "goodbye", "refused", "declare", "run", "interrupt", "recall", "resume", "completion", "stream_end", "created", "located", "chunk", "arena", "reply", "log", "notice")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    DECLARE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    INTERRUPT_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_FIELD_NUMBER: _ClassVar[int]
    STREAM_END_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    LOCATED_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    ARENA_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    credit: Credit
    ping: Ping
    pong: Pong
    goodbye: Goodbye
    refused: Refused
    declare: _task_pb2.Declare
    run: _worker_pb2.Run
    interrupt: _worker_pb2.Interrupt
    recall: _worker_pb2.Recall
    resume: _worker_pb2.Resume
    completion: _task_pb2.Completion
    stream_end: _task_pb2.StreamEnd
    created: _object_pb2.Created
    located: _object_pb2.Located
    chunk: _object_pb2.Chunk
    arena: _object_pb2.Arena
    reply: _control_pb2.Reply
    log: _worker_pb2.Log
    notice: Notice
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ..., declare: _Optional[_Union[_task_pb2.Declare, _Mapping]] = ..., run: _Optional[_Union[_worker_pb2.Run, _Mapping]] = ..., interrupt: _Optional[_Union[_worker_pb2.Interrupt, _Mapping]] = ..., recall: _Optional[_Union[_worker_pb2.Recall, _Mapping]] = ..., resume: _Optional[_Union[_worker_pb2.Resume, _Mapping]] = ..., completion: _Optional[_Union[_task_pb2.Completion, _Mapping]] = ..., stream_end: _Optional[_Union[_task_pb2.StreamEnd, _Mapping]] = ..., created: _Optional[_Union[_object_pb2.Created, _Mapping]] = ..., located: _Optional[_Union[_object_pb2.Located, _Mapping]] = ..., chunk: _Optional[_Union[_object_pb2.Chunk, _Mapping]] = ..., arena: _Optional[_Union[_object_pb2.Arena, _Mapping]] = ..., reply: _Optional[_Union[_control_pb2.Reply, _Mapping]] = ..., log: _Optional[_Union[_worker_pb2.Log, _Mapping]] = ..., notice: _Optional[_Union[Notice, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("version_min", "version_max", "features", "role", "token", "language", "sdk", "pid", "resume", "window_bytes", "namespace", "job_name", "want_logs", "launch", "pool", "functions", "formats")
    VERSION_MIN_FIELD_NUMBER: _ClassVar[int]
    VERSION_MAX_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    SDK_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    WINDOW_BYTES_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    JOB_NAME_FIELD_NUMBER: _ClassVar[int]
    WANT_LOGS_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    version_min: int
    version_max: int
    features: _containers.RepeatedScalarFieldContainer[str]
    role: Role
    token: str
    language: str
    sdk: str
    pid: int
    resume: ResumeSession
    window_bytes: int
    namespace: str
    job_name: str
    want_logs: bool
    launch: int
    pool: str
    functions: _containers.RepeatedCompositeFieldContainer[_worker_pb2.Function]
    formats: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version_min: _Optional[int] = ..., version_max: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., role: _Optional[_Union[Role, str]] = ..., token: _Optional[str] = ..., language: _Optional[str] = ..., sdk: _Optional[str] = ..., pid: _Optional[int] = ..., resume: _Optional[_Union[ResumeSession, _Mapping]] = ..., window_bytes: _Optional[int] = ..., namespace: _Optional[str] = ..., job_name: _Optional[str] = ..., want_logs: bool = ..., launch: _Optional[int] = ..., pool: _Optional[str] = ..., functions: _Optional[_Iterable[_Union[_worker_pb2.Function, _Mapping]]] = ..., formats: _Optional[_Iterable[str]] = ...) -> None: ...

class ResumeSession(_message.Message):
    __slots__ = ("session", "secret", "ack")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    session: bytes
    secret: bytes
    ack: int
    def __init__(self, session: _Optional[bytes] = ..., secret: _Optional[bytes] = ..., ack: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("version", "features", "limits", "session", "secret", "node", "job", "resumed", "ack", "server", "namespace")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    version: int
    features: _containers.RepeatedScalarFieldContainer[str]
    limits: Limits
    session: bytes
    secret: bytes
    node: bytes
    job: bytes
    resumed: bool
    ack: int
    server: str
    namespace: str
    def __init__(self, version: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., session: _Optional[bytes] = ..., secret: _Optional[bytes] = ..., node: _Optional[bytes] = ..., job: _Optional[bytes] = ..., resumed: bool = ..., ack: _Optional[int] = ..., server: _Optional[str] = ..., namespace: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("frame_bytes", "inline_bytes", "window_bytes", "heartbeat_ms", "grace_ms", "object_bytes")
    FRAME_BYTES_FIELD_NUMBER: _ClassVar[int]
    INLINE_BYTES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_MS_FIELD_NUMBER: _ClassVar[int]
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    OBJECT_BYTES_FIELD_NUMBER: _ClassVar[int]
    frame_bytes: int
    inline_bytes: int
    window_bytes: int
    heartbeat_ms: int
    grace_ms: int
    object_bytes: int
    def __init__(self, frame_bytes: _Optional[int] = ..., inline_bytes: _Optional[int] = ..., window_bytes: _Optional[int] = ..., heartbeat_ms: _Optional[int] = ..., grace_ms: _Optional[int] = ..., object_bytes: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("bytes",)
    BYTES_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    def __init__(self, bytes: _Optional[int] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("failure",)
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("seq", "index", "failure", "id")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    seq: int
    index: int
    failure: _failure_pb2.Failure
    id: bytes
    def __init__(self, seq: _Optional[int] = ..., index: _Optional[int] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., id: _Optional[bytes] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("failure",)
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...
