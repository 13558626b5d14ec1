"""Where code runs: the task, actor, job and node that it belongs to."""

from __future__ import annotations

from typing import Any

from thornback import _context, _runtime
from thornback._actor import ActorHandle
from thornback._execute import ExitActor


class RuntimeContext:
    """What running code can know about itself. Ids are hexadecimal; None where there is no such thing."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self._job = _context.job.get()

    def get_task_id(self) -> str | None:
        """The task or actor call that runs; None in a driver."""
        return self._job.task.hex() if self._job is not None else None

    def get_actor_id(self) -> str | None:
        """The actor that this is."""
        if self._job is not None and self._job.actor:
            return self._job.actor.hex()
        worker = _runtime.worker
        return worker.actor_id.hex() if worker is not None and worker.actor_id else None

    def get_actor_name(self) -> str | None:
        """Its name, empty if it has none."""
        worker = _runtime.worker
        return worker.actor_name if worker is not None and worker.actor_id else None

    def get_node_id(self) -> str:
        """The node that this process is connected to."""
        return str(self._runtime.node_id.hex())

    def get_job_id(self) -> str:
        """The job that this process works for."""
        return str(self._runtime.job_id.hex())

    def get_task_name(self) -> str | None:
        """The name of the function or method that runs."""
        return self._job.order.target.name if self._job is not None else None

    def get_assigned_resources(self) -> dict[str, float]:
        """What the running task or actor was given, by name."""
        return dict(self._job.order.target.resources) if self._job is not None else {}

    @property
    def namespace(self) -> str:
        """Where names of actors are looked up."""
        return str(self._runtime.namespace)

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Whether this actor was restarted after its process died."""
        worker = _runtime.worker
        return worker is not None and worker.restarts > 0

    @property
    def current_actor(self) -> ActorHandle:
        """A handle of the actor that this is."""
        worker = _runtime.worker
        if worker is None or not worker.actor_id:
            raise RuntimeError("this code does not run in an actor")
        return worker.own_handle()

    def is_canceled(self) -> bool:
        """Whether the running call was cancelled: code of an actor that runs long asks now and then, and returns."""
        return self._job is not None and self._job.cancelled


def get_runtime_context() -> RuntimeContext:
    """What the calling code can know about where it runs."""
    return RuntimeContext(_runtime.require())


def exit_actor() -> None:
    """Ends the actor that calls it, for good: it is not restarted, and its other calls fail with `ActorDiedError`."""
    if get_runtime_context().get_actor_id() is None:
        raise TypeError("exit_actor is for methods of an actor")
    raise ExitActor
