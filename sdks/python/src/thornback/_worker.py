"""A worker: a process that runs what its node sends it.

``python -m thornback._worker`` is started by the node, or forked by :mod:`._template`. The main thread runs tasks, so that a cancelled
one can be interrupted by a signal; while it waits for work it reads the socket itself (see :mod:`._session.session`), and while it
runs a task the keeper reads, so that tasks not yet started can be given back and running ones interrupted.

Answers gather while further tasks are queued and go out together; none waits longer than the keeper does, about a millisecond.

An actor takes the whole process. Its calls run on the main thread one by one, on several threads (`max_concurrency` > 1), or as
coroutines of an event loop on the main thread (:mod:`._worker_async`).
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from thornback import _context, _errors, _runtime
from thornback._actor import ActorHandle, Interface
from thornback._connect import connector, read_token
from thornback._context import Job, Order
from thornback._errors import Code
from thornback._execute import Answer, ExitActor, Interrupted, Target, arguments, failure_of, small_result
from thornback._gen import failure_pb2, session_pb2, task_pb2, worker_pb2
from thornback._runtime import Runtime
from thornback._session import frames, hot
from thornback._signature import Signature

_INTERRUPT: Final = signal.SIGRTMIN + 4 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
_FLUSH_AFTER_S: Final = 0.0005
_FEW: Final = 4
"""To send the answers of so many calls one by one costs less than to wake the keeper for them."""
_ORDERS_MAX: Final = 256
_JOB: Final = _context.job
_HERE: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep


on_asynchronous: Callable[[], None] = lambda: None
"""Told when this process turns out to need :mod:`._worker_async`. Set by whoever forked it."""


class Worker:
    """This process as a worker. There is one."""

    def __init__(self, served: dict[str, tuple[Any, bool]] | None = None) -> None:
        """`served` are functions (False) and actor classes (True) by name."""
        self.served = served or {}
        self.queue: deque[Job] = deque()
        self.running: dict[bytes, Job] = {}
        self.answers: dict[bytes, Answer] = {}
        """Of streams that run, to be told how far their consumers are."""
        self._targets: dict[int, Target] = {}
        self._orders: dict[bytes, Order] = {}
        """By what comes after the task's id in a `Run`."""
        self._code: dict[bytes, Any] = {}
        self._current: Job | None = None
        self._ending = False
        self.leaving = False
        """The actor could not be made, or wants to end: nothing new is begun, and the process ends once what runs is answered."""
        self._flush_at = 0.0
        self.actor: Any = None
        self.actor_id = b""
        self.actor_name = ""
        self.restarts = 0
        self.max_concurrency = 1
        self.asynchronous = False
        self.on_resume: Callable[[], None] = lambda: None
        self.on_end: Callable[[], None] = lambda: None
        self._pool: _Threads | None = None

    def connect(self) -> None:
        """Connects to the node that the environment names."""
        address = os.environ["THORNBACK_ADDRESS"]
        hello = session_pb2.Hello(
            role=session_pb2.ROLE_WORKER,
            features=["shared-memory", "streams", "actors", "logs"],
            token=read_token(None),
            pid=os.getpid(),
            launch=int(os.environ.get("THORNBACK_LAUNCH", "0") or 0),
            pool=os.environ.get("THORNBACK_POOL", ""),
            functions=[_announced(name, target, actor) for name, (target, actor) in self.served.items()],
        )
        self.runtime = Runtime(
            connector(address, hello.token),
            hello,
            {
                "declare": self._handle_declare,
                "run": self._handle_run,
                "interrupt": self._handle_interrupt,
                "recall": self._handle_recall,
                "resume": self._handle_resume,
            },
            on_close=self._handle_close,
            runs={11: self._take_runs},
        )
        self.session = self.runtime.session
        _runtime.current = self.runtime
        _runtime.worker = self
        self.runtime.start()

    # ----------------------------------------------------------------------------------------------------------- what the node says

    def _handle_declare(self, message: task_pb2.Declare) -> None:
        self._targets[message.number] = Target(message)
        # Those that came before mean what the number stood for then.
        self._orders.clear()

    def _handle_run(self, message: worker_pb2.Run) -> None:
        self.queue.append(Job(message.task, self._order(message)))
        if self._pool is not None:
            self._pool.wake()

    def _order(self, message: worker_pb2.Run) -> Order:
        return Order(message, self._targets.get(message.declaration) or Target.of_nothing(message.declaration))

    def _take_runs(self, head: bytes, ops: hot.Ops) -> int:
        """Many runs at once; see :mod:`._session.hot`."""
        queue, orders = self.queue, self._orders
        taken = 0
        for op_head, task, rest in ops:
            if op_head != head:
                break
            order = orders.get(rest)
            if order is None:
                order = self._order(worker_pb2.Run.FromString(rest))
                if not order.args:
                    # Most calls without arguments say the same as the one before.
                    if len(orders) >= _ORDERS_MAX:
                        orders.clear()
                    orders[rest] = order
            queue.append(Job(task, order))
            taken += 1
        if taken and self._pool is not None:
            self._pool.wake()
        return taken

    def _handle_recall(self, message: worker_pb2.Recall) -> None:
        wanted = set(message.tasks)
        returned = []
        for job in list(self.queue):
            if job.task in wanted and job.order.setup is None:
                try:
                    self.queue.remove(job)
                except ValueError:
                    continue  # The main thread has just taken it.
                returned.append(job.task)
        self.session.post_quietly(frames.RETURNED(frames.ids(1, returned)))

    def _handle_interrupt(self, message: worker_pb2.Interrupt) -> None:
        for job in list(self.queue):
            if job.task == message.task and job.attempt == message.attempt:
                try:
                    self.queue.remove(job)
                except ValueError:
                    break
                self._answer_unstarted(job, message.code)
                return
        running = self._current
        if running is None or running.task != message.task:
            running = self.running.get(message.task)
        if running is None or running.attempt != message.attempt:
            return  # Over already; its answer is on the way.
        running.interrupt_code = message.code
        running.cancelled = True
        self.interrupt(running)

    def interrupt(self, job: Job) -> None:
        """Stops a running task. A call of an actor is not torn out of the actor's state: it sees `is_canceled()` and may act on it."""
        if not job.actor:
            threading.Thread(target=_signal_until, args=(job, lambda: self._current is job), daemon=True).start()

    def _answer_unstarted(self, job: Job, code: int) -> None:
        job.interrupt_code = code
        self.session.post_quietly(self._cancelled_before(job))
        if job.order.setup is not None:
            self.leaving = True

    def _cancelled_before(self, job: Job) -> bytes:
        """The `Done` of a job that was cancelled and did not begin."""
        code = job.interrupt_code or Code.CANCELLED
        text = "the task's deadline passed before it began" if code == Code.DEADLINE_EXCEEDED else "the task was cancelled before it ran"
        return Answer(self.runtime, job).failed(failure_pb2.Failure(code=code, message=text, task=job.task, actor=job.actor))

    def _handle_resume(self, message: worker_pb2.Resume) -> None:
        answer = self.answers.get(message.task)
        if answer is not None:
            answer.consumed = max(answer.consumed, message.consumed)
            self.on_resume()

    def _handle_close(self, error: BaseException) -> None:
        self._ending = True
        self.on_end()
        # A task that runs on for an hour after its node is gone would keep this process alive for nothing.
        threading.Thread(target=_exit_soon, daemon=True).start()

    # ------------------------------------------------------------------------------------------------------------------------- running

    def run(self) -> None:
        """Runs what comes, until the session or the actor ends."""
        self._run()
        # What was answered last must not be lost with the process.
        self.say_all()

    def _run(self) -> None:
        queue = self.queue
        session = self.session
        ready = lambda: bool(queue) or self._ending or self.leaving
        while True:
            if not queue:
                _JOB.set(None)
                try:
                    session.wait(ready)
                except _errors.ThornbackError:
                    return
                if self._ending or self.leaving:
                    return
                continue
            # Current before it leaves the queue: an interrupt that comes meanwhile, in another thread, finds it in one or the other.
            try:
                self._current = job = queue[0]
                queue.remove(job)
            except (IndexError, ValueError):
                continue  # Given back or cancelled in that moment.
            if not job.actor:
                self.post(self.execute(job))
            elif job.order.setup is not None:
                self._set_up(job, job.order.setup)
                if self.leaving:
                    return
                if self.asynchronous:
                    from thornback import _worker_async

                    _worker_async.serve(self)
                    return
                if self._pool is not None:
                    self._current = None
                    self._pool.serve()
                    return
            else:
                self.post(self.execute(job))
                if self.leaving:
                    return
            del job
            self._current = None

    def say_all(self) -> None:
        """Waits until the node has let this worker say what it has to say, and a moment for it to take that."""
        try:
            self.session.wait(lambda: not self.session.pending)
            self.session.settle()
        except _errors.ThornbackError:
            pass  # The session is over, and nobody listens.

    def post(self, done: bytes) -> None:
        """Queues an answer; it goes out with others, at the latest when nothing is left to run."""
        session = self.session
        session.post_quietly(done)
        if self.queue:
            now = time.monotonic()
            if now >= self._flush_at:
                self._flush_at = now + _FLUSH_AFTER_S
                session.flush(block=False)
            elif session.keeper.asleep:
                # The next one may run for long; somebody must be there to send this one. For a few that is no other thread.
                if len(self.queue) <= _FEW:
                    session.flush(block=False)
                else:
                    session.keeper.wake()
        elif self._pool is not None:
            session.flush(block=False)

    def execute(self, job: Job) -> bytes:
        """Runs a task or a call and gives its `Done`."""
        order = job.order
        target = order.target
        _JOB.set(job)
        in_user_code = False
        try:
            function = target.function
            if function is None:
                function = self._method(target) if job.actor else self.function(job, target)
            args, kwargs = arguments(self.runtime, order.args) if order.args else ([], {})
            signature = target.signature
            if signature is not None and (kwargs or not signature.min <= len(args) <= signature.max):
                self._check(signature, args, kwargs)
            if job.cancelled:
                return self._cancelled_before(job)
            job.started = in_user_code = True
            if target.returns >= 0:
                value = _call(function, args, kwargs)
                job.started = in_user_code = False
                if target.returns == 1:
                    done = small_result(job, value)
                    if done is not None:
                        return done
                return Answer(self.runtime, job).results(value)
            answer = self.answers[job.task] = Answer(self.runtime, job)
            return _stream(answer, function, args, kwargs)
        except SystemExit:
            # The process is to end; what was finished before is not lost with it.
            self.session.flush()
            raise
        except BaseException as error:
            job.started = False
            if isinstance(error, ExitActor):
                self.exit_actor(job)
            answer = self.answers.get(job.task) or Answer(self.runtime, job)
            return answer.failed(failure_of(error, job, in_user_code, self.runtime.inline_bytes))
        finally:
            if self.answers:
                self.answers.pop(job.task, None)
            if self._pool is not None:
                self.running.pop(job.task, None)

    def _check(self, signature: Signature, args: list[Any], kwargs: dict[str, Any]) -> None:
        try:
            signature.check(tuple(args), kwargs)
        except TypeError as error:
            raise _errors.WrongArityError(str(error)) from None

    def function(self, job: Job, target: Target) -> Any:
        """What a job calls."""
        if job.actor:
            # Not kept: an attribute may be replaced while the actor lives.
            return self._method(target)
        target.function = self._load(target)
        return target.function

    def _load(self, target: Target) -> Any:
        """The definition behind a declaration: shipped, or served by name."""
        if target.undeclared:
            raise _errors.ProtocolError("the node sent a task of a declaration that it has not made")
        if not target.code:
            found = self.served.get(target.name)
            if found is None:
                raise _errors.FunctionNotFoundError(f"this worker does not serve {target.name!r}")
            target.signature = Signature.of(found[0])
            return found[0]
        definition = self._code.get(target.code)
        if definition is None:
            ref = self.runtime.adopt_ref(target.code)
            definition = self._code[target.code] = self.runtime.get_one(ref, None)
        return definition

    def _method(self, target: Target) -> Any:
        if target.name == "__call__":
            return self.actor
        try:
            return getattr(self.actor, target.name)
        except AttributeError:
            raise _errors.FunctionNotFoundError(f"the actor class {type(self.actor).__qualname__} has no method {target.name!r}") from None

    # ------------------------------------------------------------------------------------------------------------------------- actors

    def _set_up(self, job: Job, setup: worker_pb2.ActorSetup) -> None:
        """Becomes the actor that a job creates. One that fails leaves the worker without a purpose."""
        target = job.order.target
        self.actor_id = job.actor
        self.actor_name = setup.name
        self.restarts = setup.restarts
        self.max_concurrency = setup.max_concurrency or 1
        answer = Answer(self.runtime, job)
        token = _context.job.set(job)
        in_user_code = False
        try:
            actor_class = self._load(target)
            args, kwargs = arguments(self.runtime, job.order.args)
            if target.signature is not None:
                self._check(target.signature, args, kwargs)
            # Of a class that is served by name its callers know nothing (WORKER-041).
            self.asynchronous = setup.asynchronous if target.code else Interface.of(actor_class).asynchronous
            in_user_code = True
            if self.asynchronous:
                on_asynchronous()
                from thornback import _worker_async

                self.actor = _worker_async.create(actor_class, args, kwargs)
            else:
                self.actor = actor_class(*args, **kwargs)
            done = answer.results(None)
            if setup.max_concurrency > 1 and not self.asynchronous:
                self._pool = _Threads(self, setup.max_concurrency)
        except SystemExit:
            self.session.flush()
            raise
        except BaseException as error:
            self.leaving = True
            done = answer.failed(failure_of(error, job, in_user_code, self.runtime.inline_bytes))
        finally:
            _context.job.reset(token)
        self.session.post_quietly(done)

    def own_handle(self) -> ActorHandle:
        """A handle of the actor that this process is."""
        interface = Interface.of(type(self.actor)) if self.actor is not None else Interface.unpack("", b"")
        return self.runtime.adopt_actor(self.actor_id, interface.class_name, interface.packed)

    def exit_actor(self, job: Job) -> None:
        """The actor wants to end. Its call is still to be answered."""
        reason = failure_pb2.Failure(code=Code.ACTOR_DIED, message="the actor ended itself by exit_actor()", actor=job.actor)
        body = frames.ID_1 + job.actor + frames.field(2, reason.SerializeToString())
        self.session.post_quietly(frames.ACTOR_EXIT(body))
        self.leaving = True


class _Threads:
    """Threads of an actor with `max_concurrency` above 1; started as they are needed. The main thread reads meanwhile.

    They take calls off the worker's queue themselves, so that what has not begun can still be cancelled. One thread wakes at a time:
    whoever takes a call wakes the next if more are queued. Calls that wait are thus all under way at once, and short ones are not passed
    from thread to thread.
    """

    def __init__(self, worker: Worker, count: int) -> None:
        self._worker = worker
        self._count = count
        self._started = 0
        self._idle = 0
        self._busy = 0
        """Threads that have a call which is not answered yet, or have just been started."""
        self._waking = False
        """A thread was started or told, and has not looked at the queue yet."""
        self._lock = threading.Condition()

    def serve(self) -> None:
        """Reads until the session ends."""
        worker = self._worker
        self.wake()
        try:
            worker.session.wait(lambda: worker._ending)
        except _errors.ThornbackError:
            pass

    def wake(self) -> None:
        """There may be something in the queue. Called by whoever reads."""
        with self._lock:
            self._wake()

    def _wake(self) -> None:
        if self._waking or not self._worker.queue:
            return
        if self._idle:
            self._waking = True
            self._lock.notify()
        elif self._started < self._count:
            self._waking = True
            self._started += 1
            self._busy += 1
            threading.Thread(target=self._serve, name=f"thornback-call-{self._started}", daemon=True).start()

    def _next(self) -> Job | None:
        """Waits for a call and takes it. None once the actor ends and no thread has anything left to say."""
        worker = self._worker
        queue = worker.queue
        with self._lock:
            self._waking = False
            self._busy -= 1
            while True:
                if worker.leaving:
                    # The last one to be done says so; to the others nothing comes any more.
                    if self._busy == 0:
                        return None
                    self._lock.wait()
                    continue
                try:
                    job = queue[0]
                except IndexError:
                    self._idle += 1
                    self._lock.wait()
                    self._idle -= 1
                    self._waking = False
                    continue
                # Registered before it leaves the queue: an interrupt finds it in one or the other.
                worker.running[job.task] = job
                try:
                    queue.remove(job)
                except ValueError:
                    worker.running.pop(job.task, None)
                    continue  # Given back or cancelled in that moment.
                self._busy += 1
                self._wake()
                return job

    def _serve(self) -> None:
        worker = self._worker
        while (job := self._next()) is not None:
            try:
                worker.post(worker.execute(job))
            except SystemExit as request:
                worker.session.flush(block=False)
                os._exit(request.code if isinstance(request.code, int) else 1)
            del job
        worker.say_all()
        # Which wakes the main thread, and it ends the process.
        worker.session.close()


def _call(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Calls user code. A frame of this function on the stack tells the interrupt handler that what runs may be interrupted."""
    return function(*args, **kwargs)


def _stream(answer: Answer, function: Any, args: list[Any], kwargs: dict[str, Any]) -> bytes:
    return answer.stream(function(*args, **kwargs))


# --------------------------------------------------------------------------------------------------------------------------- interrupts


def _signal_until(job: Job, runs: Any) -> None:
    """Signals the main thread until the job is interrupted or over: the handler refuses while the SDK's own code runs."""
    main = threading.main_thread().ident
    assert main is not None
    pause = 0.0005
    while runs() and not job.interrupted:
        signal.pthread_kill(main, _INTERRUPT)
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def _handle_signal(number: int, frame: FrameType | None) -> None:
    worker = _runtime.worker
    job = worker._current if worker is not None else None
    if job is None or not job.cancelled or job.interrupted:
        return
    if job.started and _may_interrupt(frame):
        job.interrupted = True
        raise Interrupted("the task was cancelled")


_WAITS = ("fill", "_wait_awake", "_wait_asleep", "_receive")
"""Functions of a carrier in which it waits, or has whole what it received."""


def _may_interrupt(frame: FrameType | None) -> bool:
    """Whether an exception raised in this frame meets user code, or a wait of ours that nothing is lost in."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(_HERE):
            name = code.co_name
            if name in ("_call", "_stream", "_follow"):
                return True
            if name == "stream":
                # Between items: in the consumer's hands, not in the middle of sending one.
                return True
            if name in _WAITS:
                return not frame.f_locals["self"].torn
            return False
        frame = frame.f_back
    return False


def _handle_terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _exit_soon() -> None:
    time.sleep(1.0)
    os._exit(0)


# ------------------------------------------------------------------------------------------------------------------------------- start


def _announced(name: str, target: Any, actor: bool) -> worker_pb2.Function:
    signature = Signature.of(target)
    many = signature.max >= 1 << 20
    # What must be given by keyword cannot be counted by the node; this worker checks it when the call comes.
    return worker_pb2.Function(
        name=name,
        min_args=0 if signature.min >= 1 << 20 else signature.min,
        max_args=-1 if many else signature.max,
        actor=actor,
        signature=getattr(target, "__thornback_signature__", ""),
    )


def main(served: dict[str, tuple[Any, bool]] | None = None) -> int:
    """Serves until the node lets go. Returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        except (AttributeError, ValueError):
            pass
    signal.signal(_INTERRUPT, _handle_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _handle_terminate)
    worker = Worker(served)
    try:
        worker.connect()
    except _errors.ThornbackError as error:
        sys.stderr.write(f"thornback worker: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"thornback worker: no node can be reached at {os.environ['THORNBACK_ADDRESS']}: {error}\n")
        return 1
    try:
        worker.run()
    except SystemExit as request:
        if request.code is None:
            return 0
        if isinstance(request.code, int):
            return request.code
        sys.stderr.write(f"{request.code}\n")
        return 1
    return 0


def end(status: int) -> None:
    """Ends the process: exit handlers and open files are seen to, threads that go on are not waited for."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:
        os.write(2, f"thornback worker: at exit: {error!r}\n".encode())
    os._exit(status)


if __name__ == "__main__":
    # As `__main__` this module would exist twice; what users' code refers to is the importable one.
    from thornback import _worker as importable

    importable.end(importable.main())
