# Generated from protocol/ by `cargo xtask gen`. Do not edit.
from thornback._gen import task_pb2 as _task_pb2
from thornback._gen import value_pb2 as _value_pb2
from thornback._gen import actor_pb2 as _actor_pb2
from thornback._gen import failure_pb2 as _failure_pb2
from thornback._gen import worker_pb2 as _worker_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Request(_message.Message):
    __slots__ = ("number", "create_actor", "get_actor", "list_actors", "create_placement_group", "remove_placement_group", "declare_pool", "get_status", "list_state", "stop")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CREATE_ACTOR_FIELD_NUMBER: _ClassVar[int]
    GET_ACTOR_FIELD_NUMBER: _ClassVar[int]
    LIST_ACTORS_FIELD_NUMBER: _ClassVar[int]
    CREATE_PLACEMENT_GROUP_FIELD_NUMBER: _ClassVar[int]
    REMOVE_PLACEMENT_GROUP_FIELD_NUMBER: _ClassVar[int]
    DECLARE_POOL_FIELD_NUMBER: _ClassVar[int]
    GET_STATUS_FIELD_NUMBER: _ClassVar[int]
    LIST_STATE_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    number: int
    create_actor: CreateNamedActor
    get_actor: GetActor
    list_actors: ListActors
    create_placement_group: CreatePlacementGroup
    remove_placement_group: RemovePlacementGroup
    declare_pool: DeclarePool
    get_status: GetStatus
    list_state: ListState
    stop: Stop
    def __init__(self, number: _Optional[int] = ..., create_actor: _Optional[_Union[CreateNamedActor, _Mapping]] = ..., get_actor: _Optional[_Union[GetActor, _Mapping]] = ..., list_actors: _Optional[_Union[ListActors, _Mapping]] = ..., create_placement_group: _Optional[_Union[CreatePlacementGroup, _Mapping]] = ..., remove_placement_group: _Optional[_Union[RemovePlacementGroup, _Mapping]] = ..., declare_pool: _Optional[_Union[DeclarePool, _Mapping]] = ..., get_status: _Optional[_Union[GetStatus, _Mapping]] = ..., list_state: _Optional[_Union[ListState, _Mapping]] = ..., stop: _Optional[_Union[Stop, _Mapping]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("number", "failure", "actor", "actors", "done", "status", "state")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    number: int
    failure: _failure_pb2.Failure
    actor: ActorInfo
    actors: ActorList
    done: Empty
    status: Status
    state: StateList
    def __init__(self, number: _Optional[int] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., actor: _Optional[_Union[ActorInfo, _Mapping]] = ..., actors: _Optional[_Union[ActorList, _Mapping]] = ..., done: _Optional[_Union[Empty, _Mapping]] = ..., status: _Optional[_Union[Status, _Mapping]] = ..., state: _Optional[_Union[StateList, _Mapping]] = ...) -> None: ...

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CreateNamedActor(_message.Message):
    __slots__ = ("actor", "declaration", "args", "options")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    DECLARATION_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    declaration: int
    args: _containers.RepeatedCompositeFieldContainer[_value_pb2.Arg]
    options: _actor_pb2.ActorOptions
    def __init__(self, actor: _Optional[bytes] = ..., declaration: _Optional[int] = ..., args: _Optional[_Iterable[_Union[_value_pb2.Arg, _Mapping]]] = ..., options: _Optional[_Union[_actor_pb2.ActorOptions, _Mapping]] = ...) -> None: ...

class GetActor(_message.Message):
    __slots__ = ("name", "namespace")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    namespace: str
    def __init__(self, name: _Optional[str] = ..., namespace: _Optional[str] = ...) -> None: ...

class ListActors(_message.Message):
    __slots__ = ("all_namespaces",)
    ALL_NAMESPACES_FIELD_NUMBER: _ClassVar[int]
    all_namespaces: bool
    def __init__(self, all_namespaces: bool = ...) -> None: ...

class ActorInfo(_message.Message):
    __slots__ = ("actor", "name", "namespace", "state", "class_name", "interface", "restarts", "existed")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    EXISTED_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    name: str
    namespace: str
    state: str
    class_name: str
    interface: bytes
    restarts: int
    existed: bool
    def __init__(self, actor: _Optional[bytes] = ..., name: _Optional[str] = ..., namespace: _Optional[str] = ..., state: _Optional[str] = ..., class_name: _Optional[str] = ..., interface: _Optional[bytes] = ..., restarts: _Optional[int] = ..., existed: bool = ...) -> None: ...

class ActorList(_message.Message):
    __slots__ = ("actors",)
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    actors: _containers.RepeatedCompositeFieldContainer[ActorInfo]
    def __init__(self, actors: _Optional[_Iterable[_Union[ActorInfo, _Mapping]]] = ...) -> None: ...

class CreatePlacementGroup(_message.Message):
    __slots__ = ("group", "bundles", "strategy", "name")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    group: bytes
    bundles: _containers.RepeatedCompositeFieldContainer[_task_pb2.Resources]
    strategy: str
    name: str
    def __init__(self, group: _Optional[bytes] = ..., bundles: _Optional[_Iterable[_Union[_task_pb2.Resources, _Mapping]]] = ..., strategy: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class RemovePlacementGroup(_message.Message):
    __slots__ = ("group",)
    GROUP_FIELD_NUMBER: _ClassVar[int]
    group: bytes
    def __init__(self, group: _Optional[bytes] = ...) -> None: ...

class DeclarePool(_message.Message):
    __slots__ = ("name", "language", "command", "env", "working_dir", "template", "prestart", "default_for_session", "functions", "interface")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    PRESTART_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FOR_SESSION_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    language: str
    command: _containers.RepeatedScalarFieldContainer[str]
    env: _containers.ScalarMap[str, str]
    working_dir: str
    template: bool
    prestart: int
    default_for_session: bool
    functions: _containers.RepeatedScalarFieldContainer[str]
    interface: _containers.RepeatedCompositeFieldContainer[_worker_pb2.Function]
    def __init__(self, name: _Optional[str] = ..., language: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., env: _Optional[_Mapping[str, str]] = ..., working_dir: _Optional[str] = ..., template: bool = ..., prestart: _Optional[int] = ..., default_for_session: bool = ..., functions: _Optional[_Iterable[str]] = ..., interface: _Optional[_Iterable[_Union[_worker_pb2.Function, _Mapping]]] = ...) -> None: ...

class GetStatus(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Status(_message.Message):
    __slots__ = ("server_version", "node", "uptime_ms", "total", "available", "store_used_bytes", "store_capacity_bytes", "spilled_bytes", "sessions", "workers", "tasks_queued", "tasks_running", "tasks_finished", "actors", "objects", "nodes", "worker_list")
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    UPTIME_MS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    STORE_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    STORE_CAPACITY_BYTES_FIELD_NUMBER: _ClassVar[int]
    SPILLED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    TASKS_QUEUED_FIELD_NUMBER: _ClassVar[int]
    TASKS_RUNNING_FIELD_NUMBER: _ClassVar[int]
    TASKS_FINISHED_FIELD_NUMBER: _ClassVar[int]
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    WORKER_LIST_FIELD_NUMBER: _ClassVar[int]
    server_version: str
    node: bytes
    uptime_ms: int
    total: _task_pb2.Resources
    available: _task_pb2.Resources
    store_used_bytes: int
    store_capacity_bytes: int
    spilled_bytes: int
    sessions: int
    workers: int
    tasks_queued: int
    tasks_running: int
    tasks_finished: int
    actors: int
    objects: int
    nodes: int
    worker_list: _containers.RepeatedCompositeFieldContainer[WorkerInfo]
    def __init__(self, server_version: _Optional[str] = ..., node: _Optional[bytes] = ..., uptime_ms: _Optional[int] = ..., total: _Optional[_Union[_task_pb2.Resources, _Mapping]] = ..., available: _Optional[_Union[_task_pb2.Resources, _Mapping]] = ..., store_used_bytes: _Optional[int] = ..., store_capacity_bytes: _Optional[int] = ..., spilled_bytes: _Optional[int] = ..., sessions: _Optional[int] = ..., workers: _Optional[int] = ..., tasks_queued: _Optional[int] = ..., tasks_running: _Optional[int] = ..., tasks_finished: _Optional[int] = ..., actors: _Optional[int] = ..., objects: _Optional[int] = ..., nodes: _Optional[int] = ..., worker_list: _Optional[_Iterable[_Union[WorkerInfo, _Mapping]]] = ...) -> None: ...

class WorkerInfo(_message.Message):
    __slots__ = ("pid", "pool", "state", "rss_bytes")
    PID_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    pid: int
    pool: str
    state: str
    rss_bytes: int
    def __init__(self, pid: _Optional[int] = ..., pool: _Optional[str] = ..., state: _Optional[str] = ..., rss_bytes: _Optional[int] = ...) -> None: ...

class ListState(_message.Message):
    __slots__ = ("kind", "limit")
    KIND_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    limit: int
    def __init__(self, kind: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class StateList(_message.Message):
    __slots__ = ("items", "truncated")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedScalarFieldContainer[str]
    truncated: bool
    def __init__(self, items: _Optional[_Iterable[str]] = ..., truncated: bool = ...) -> None: ...

class Stop(_message.Message):
    __slots__ = ("force",)
    FORCE_FIELD_NUMBER: _ClassVar[int]
    force: bool
    def __init__(self, force: bool = ...) -> None: ...
