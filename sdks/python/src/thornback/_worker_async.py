"""Asynchronous actors: calls as coroutines of one event loop, on the main thread, which also reads the session's socket."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from thornback import _context
from thornback._context import Job
from thornback._execute import Answer, ExitActor, arguments, failure_of, small_result, stream_async

if TYPE_CHECKING:
    from thornback._worker import Worker

_loop: asyncio.AbstractEventLoop | None = None


def create(actor_class: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Makes the instance inside the loop, so that its constructor may ask for the running one."""
    global _loop
    _loop = asyncio.new_event_loop()
    asyncio.set_event_loop(_loop)

    async def make() -> Any:
        return actor_class(*args, **kwargs)

    return _loop.run_until_complete(make())


def serve(worker: Worker) -> None:
    """Runs the actor's calls until the session ends."""
    assert _loop is not None
    _loop.run_until_complete(_Server(worker).serve())


class _Server:
    """Takes jobs off the worker's queue and runs each as a task of the loop."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._session = worker.session
        self._loop = asyncio.get_event_loop_policy().get_event_loop()
        self._tasks: dict[bytes, asyncio.Task[None]] = {}
        self._resumed = asyncio.Event()
        self._ended = self._loop.create_future()
        self._flush_due = False
        self._fileno = -1

    async def serve(self) -> None:
        self._session.lead()
        worker = self._worker
        worker.interrupt = self._interrupt  # type: ignore[method-assign]
        worker.on_resume = self._resumed.set
        worker.on_end = self._end_soon
        self._watch()
        self._session.flush(block=False)
        # Calls may have come together with the creation.
        self._start_jobs()
        await self._ended

    def _end_soon(self) -> None:
        self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _watch(self) -> None:
        fileno = self._session.fileno()
        if fileno != self._fileno:
            if self._fileno >= 0:
                self._loop.remove_reader(self._fileno)
            self._fileno = fileno
            self._loop.add_reader(fileno, self._readable)

    def _readable(self) -> None:
        self._session.poll()
        if self._session.closed is not None:
            self._end()
            return
        self._watch()
        self._start_jobs()
        self._flush_soon()

    def _start_jobs(self) -> None:
        """Begins what may run now. What may not stays in the queue, where it can be cancelled before it begins."""
        worker = self._worker
        queue = worker.queue
        while queue and len(self._tasks) < worker.max_concurrency and not worker.leaving:
            job = queue.popleft()
            worker.running[job.task] = job
            self._tasks[job.task] = self._loop.create_task(self._run(job))

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        self._session.flush(block=False)

    async def _run(self, job: Job) -> None:
        worker = self._worker
        try:
            done = await self._execute(job)
        except SystemExit:
            self._session.flush(block=False)
            raise
        finally:
            del self._tasks[job.task]
            worker.running.pop(job.task, None)
            if worker.answers:
                worker.answers.pop(job.task, None)
        self._session.post_quietly(done)
        if worker.leaving:
            if not self._tasks:
                self._end()
        elif worker.queue:
            self._start_jobs()
        self._flush_soon()

    async def _execute(self, job: Job) -> bytes:
        worker = self._worker
        order = job.order
        target = order.target
        # A task of the loop has a context of its own: what runs in it sees its own job.
        _context.job.set(job)
        in_user_code = False
        try:
            function = worker.function(job, target)
            args, kwargs = arguments(worker.runtime, order.args)
            in_user_code = job.started = True
            value = function(*args, **kwargs)
            if target.returns < 0:
                answer = worker.answers[job.task] = Answer(worker.runtime, job)
                return await stream_async(answer, value, self._wait_for_resume)
            if type(value) is CoroutineType or inspect.isawaitable(value):
                value = await value
            in_user_code = job.started = False
            if target.returns == 1:
                done = small_result(job, value)
                if done is not None:
                    return done
            return Answer(worker.runtime, job).results(value)
        except SystemExit:
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and job.cancelled:
                error = KeyboardInterrupt()
            if isinstance(error, ExitActor):
                worker.exit_actor(job)
            answer = worker.answers.get(job.task) or Answer(worker.runtime, job)
            return answer.failed(failure_of(error, job, in_user_code, worker.runtime.inline_bytes))

    async def _wait_for_resume(self) -> None:
        self._resumed.clear()
        self._flush_soon()
        await self._resumed.wait()

    def _interrupt(self, job: Job) -> None:
        def cancel() -> None:
            task = self._tasks.get(job.task)
            if task is not None:
                task.cancel()

        self._loop.call_soon_threadsafe(cancel)
