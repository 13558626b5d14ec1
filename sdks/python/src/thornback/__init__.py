"""Thornback: tasks, actors and objects that any language can use.

::

    import thornback

    thornback.init()


    @thornback.remote
    def square(n):
        return n * n


    print(thornback.get([square.remote(n) for n in range(4)]))

Functions become tasks and classes become actors by `remote`; a call gives an `ObjectRef` at once, and `get` its value. `init` connects to
a node or starts one that ends with the program.
"""

from thornback import worker
from thornback._actor import ActorClass, ActorHandle, ActorMethod, actor_class, method
from thornback._client import (
    available_resources,
    cancel,
    cluster_resources,
    declare_pool,
    get,
    get_actor,
    init,
    is_initialized,
    kill,
    list_state,
    nodes,
    put,
    remote,
    shutdown,
    wait,
)
from thornback._create import Creation, create
from thornback._errors import (
    ActorDiedError,
    ActorError,
    ActorNameTakenError,
    ActorNotFoundError,
    ActorUnavailableError,
    CancelledError,
    Code,
    ConnectionLostError,
    DeadlineExceededError,
    FunctionNotFoundError,
    GetTimeoutError,
    InfeasibleError,
    InternalError,
    InvalidArgumentError,
    LimitExceededError,
    NodeDiedError,
    ObjectLostError,
    ObjectNotFoundError,
    OutOfDiskError,
    OutOfMemoryError,
    OwnerDiedError,
    PendingCallsLimitError,
    PermissionDeniedError,
    PlacementGroupNotFoundError,
    PlacementGroupRemovedError,
    ProtocolError,
    ReconstructionFailedError,
    SessionExpiredError,
    ShuttingDownError,
    SignatureMismatchError,
    StoreFullError,
    StreamTooShortError,
    TaskError,
    ThornbackError,
    UnauthenticatedError,
    UnserializableError,
    UnsupportedFormatError,
    WorkerDiedError,
    WorkerStartFailedError,
    WrongArityError,
)
from thornback._object import ObjectRef, ObjectRefGenerator
from thornback._placement import (
    NodeAffinitySchedulingStrategy,
    PlacementGroup,
    PlacementGroupSchedulingStrategy,
    placement_group,
    remove_placement_group,
)
from thornback._runtime_context import RuntimeContext, exit_actor, get_runtime_context
from thornback._task import RemoteFunction, function

__version__ = "0.1.0"

__all__ = [
    "ActorClass",
    "ActorDiedError",
    "ActorError",
    "ActorHandle",
    "ActorMethod",
    "ActorNameTakenError",
    "ActorNotFoundError",
    "ActorUnavailableError",
    "CancelledError",
    "Code",
    "ConnectionLostError",
    "Creation",
    "DeadlineExceededError",
    "FunctionNotFoundError",
    "GetTimeoutError",
    "InfeasibleError",
    "InternalError",
    "InvalidArgumentError",
    "LimitExceededError",
    "NodeAffinitySchedulingStrategy",
    "NodeDiedError",
    "ObjectLostError",
    "ObjectNotFoundError",
    "ObjectRef",
    "ObjectRefGenerator",
    "OutOfDiskError",
    "OutOfMemoryError",
    "OwnerDiedError",
    "PendingCallsLimitError",
    "PermissionDeniedError",
    "PlacementGroup",
    "PlacementGroupNotFoundError",
    "PlacementGroupRemovedError",
    "PlacementGroupSchedulingStrategy",
    "ProtocolError",
    "ReconstructionFailedError",
    "RemoteFunction",
    "RuntimeContext",
    "SessionExpiredError",
    "ShuttingDownError",
    "SignatureMismatchError",
    "StoreFullError",
    "StreamTooShortError",
    "TaskError",
    "ThornbackError",
    "UnauthenticatedError",
    "UnserializableError",
    "UnsupportedFormatError",
    "WorkerDiedError",
    "WorkerStartFailedError",
    "WrongArityError",
    "__version__",
    "actor_class",
    "available_resources",
    "cancel",
    "cluster_resources",
    "create",
    "declare_pool",
    "exit_actor",
    "function",
    "get",
    "get_actor",
    "get_runtime_context",
    "init",
    "is_initialized",
    "kill",
    "list_state",
    "method",
    "nodes",
    "placement_group",
    "put",
    "remote",
    "remove_placement_group",
    "shutdown",
    "wait",
    "worker",
]
