"""The only caller of ray.init. The same worker classes run on Ray actors, or with local=True on threads of this process.

A worker is a plain class. Ray puts the folder in which the user stands at the front of every worker's path, where a folder of the
user's called `benchmarks/` would shadow ours; so a job's working_dir is an empty folder, and workers get absolute paths only.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svmbench.errors import BadInput, MissingExtra, SvmbenchError

NAMESPACE = "svmbench"
AGAIN_MAX = 10  # ours: while an actor restarts, Ray sends a call again about once a second
_END = object()
_LOCAL: dict[str, tuple[Any, ThreadPoolExecutor]] = {}  # local actors by name
_HANDLES: dict[str, Any] = {}  # Ray's handles by name: making one costs as much as a call


class WorkerLost(Exception):
    """The process of a worker died while it worked on an item (killed, out of memory, crashed)."""


@dataclass(frozen=True)
class Actor:
    """A worker that can be called from anywhere, also from other workers: it is found by name and pickles as its name."""

    name: str
    local: bool

    def call(self, method: str, *args: Any, again: bool = False) -> Any:
        """Starts a call; wait for it with Fleet.wait or result(). Arguments are plain data.

        again: it may safely run twice, and is sent again while the actor restarts; that is seconds faster than to hear of it.
        """
        if self.local:
            target, pool = _LOCAL[self.name]
            return pool.submit(getattr(target, method), *args)
        import ray

        if self.name not in _HANDLES:
            try:
                _HANDLES[self.name] = ray.get_actor(self.name, namespace=NAMESPACE)
            except ValueError as error:
                raise WorkerLost(f"{self.name} has ended") from error
        bound = getattr(_HANDLES[self.name], method)
        return (bound.options(max_task_retries=AGAIN_MAX) if again else bound).remote(*args)

    def awake(self) -> Any:
        """Starts a call that returns when an actor on Ray that is made anew has begun; what is sent to it before may be lost."""
        return self.call("__ray_ready__", again=True)

    def ask(self, method: str, *args: Any, patience_s: float = 180.0) -> Any:
        """Calls and waits. For methods that may safely run twice: while the actor is restarting the call is sent again. On a
        busy machine Ray needs the better part of a minute for that."""
        if self.local:
            return self.call(method, *args).result()
        until = time.monotonic() + patience_s
        while True:
            try:
                return result(self.call(method, *args, again=True))
            except WorkerLost:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)


def result(call: Any) -> Any:
    """The value of a finished call, or its exception as it was raised; WorkerLost if the worker died, RuntimeError if it could
    not even be made.
    """
    if isinstance(call, Future):
        return call.result()
    import ray

    try:
        return ray.get(call)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, Exception) else error
        raise cause from None
    except (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError) as error:
        if getattr(error, "actor_init_failed", False):  # it never was a worker, and starting it again fails again
            raise RuntimeError(f"a worker could not be made: {str(error).strip().splitlines()[-1]}") from error
        raise WorkerLost(" ".join(str(error).split())[:200]) from error


def wait(calls: Iterable[Any], timeout_s: float | None = None) -> tuple[list[Any], list[Any]]:
    """(finished, unfinished) as soon as one has finished or the time is over."""
    pending = list(calls)
    if not pending:
        return [], []
    if isinstance(pending[0], Future):
        done, rest = wait_futures(pending, timeout=timeout_s, return_when=FIRST_COMPLETED)
        return list(done), list(rest)
    import ray

    return ray.wait(pending, num_returns=1, timeout=timeout_s)


def _require_answer(address: str) -> None:
    """Ray itself waits for minutes for a cluster that is not there."""
    host, _, port = address.split("://")[-1].rpartition(":")
    try:
        socket.create_connection((host or "localhost", int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise BadInput(
            f"no Ray cluster answers at {address} ({error}); start one with 'ray start --head', or leave --address out"
        ) from error


@contextlib.contextmanager
def _interrupt_later() -> Iterator[None]:
    """Ctrl-C inside is heard at the end: while Ray starts it may be lost, or crash it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if heard:
        raise KeyboardInterrupt


def _revive(actor: Actor, patience_s: float = 60.0) -> None:
    """Waits until a restarting actor answers: whatever is sent to it before is lost."""
    import ray

    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        try:
            ray.get(actor.awake(), timeout=patience_s)
            return
        except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError, WorkerLost):
            time.sleep(0.2)


class Fleet:
    """A place to run workers: an embedded Ray, a Ray cluster (address), or threads (local=True). A context manager.

    The embedded Ray starts with the first worker, so that a command that finds its work done does not wait for it; startup_s is
    how long that took. num_cpus: of this machine, or of the cluster.
    """

    def __init__(self, *, local: bool = False, address: str | None = None, gpus: int = 0) -> None:
        self.local, self.address, self.gpus = local, address, gpus
        self.num_cpus = os.cpu_count() or 1
        self.startup_s = 0.0
        self._actors: list[Actor] = []
        self._handles: list[Any] = []  # a Ray actor lives as long as somebody holds its handle
        self._ready: dict[str, Any] = {}  # the first answer of a Ray actor, by name
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Fleet:
        if not self.local and importlib.util.find_spec("ray") is None:
            raise MissingExtra("Ray is not installed; pip install 'svmbench[ray]', or run with --local")
        if self.address:
            self._start_ray()
        return self

    def _start_ray(self) -> None:
        began = time.monotonic()
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("SPT_NOENV", "1")  # Ray's titles of processes would overwrite the guard's mark
        import ray

        from svmbench import guard

        if self.address and self.address != "auto":
            _require_answer(self.address)
        empty = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="svmbench-empty-"))
        options: dict[str, Any] = (
            {} if self.address else {"num_cpus": self.num_cpus, "include_dashboard": False, "object_store_memory": 256 * 2**20}
        )
        if self.gpus and not self.address:
            options["num_gpus"] = self.gpus
        if not self.address:
            mark = f"ray-{uuid.uuid4().hex}"  # on all that Ray starts now, and so on what these start
            self._stack.enter_context(guard.guarded(mark, Path(empty)))
            os.environ[guard.MARK] = mark
        try:
            with _interrupt_later():
                ray.init(
                    address=self.address or "local", namespace=NAMESPACE, runtime_env={"working_dir": empty},
                    logging_level=logging.ERROR, log_to_driver=False, configure_logging=True, **options,
                )  # fmt: skip
        except (ConnectionError, ValueError) as error:
            raise BadInput(f"no Ray cluster answers at {self.address}: {' '.join(str(error).split())[:160]}") from error
        except Exception as error:  # Ray has no type of its own for it
            if "timed out during startup" not in str(error):
                raise
            raise SvmbenchError("Ray did not start within 30 s, this machine is busy; the same command goes on") from error
        finally:
            os.environ.pop(guard.MARK, None)
        if self.address:
            self.num_cpus = int(ray.cluster_resources().get("CPU", 1))
        self._stack.callback(ray.shutdown)
        self.startup_s = time.monotonic() - began

    def __exit__(self, *_: Any) -> None:
        for actor in self._actors:
            self.stop(actor)
        self._stack.close()

    def start_ray(self) -> bool:
        """Ray runs after this, also for a user of Ray Data; False where the fleet is local and there is none."""
        with self._lock:
            if not self.local and not self.startup_s:
                self._start_ray()
        return not self.local

    def actor(
        self,
        cls: type,
        *args: Any,
        name: str | None = None,
        threads: int = 1,
        cpus: float = 1.0,
        gpus: float = 0.0,
        restarts: bool = False,
        here: bool = False,
    ) -> Actor:
        """Starts a worker. restarts=True: it is made anew when its process dies, with the same arguments. here=True: on this
        machine and on no other of the cluster, for one that owns a file that must not be on a network."""
        actor = Actor(name=f"{name or cls.__name__}-{uuid.uuid4().hex[:8]}", local=self.local)
        self.start_ray()
        with self._lock:
            self._actors.append(actor)
        if self.local:
            _LOCAL[actor.name] = (cls(*args), ThreadPoolExecutor(threads, thread_name_prefix=actor.name))
            return actor
        import ray

        options: dict[str, Any] = {
            "num_cpus": cpus, "num_gpus": gpus, "max_concurrency": threads, "max_restarts": -1 if restarts else 0,
        }  # fmt: skip
        if here:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            node = ray.get_runtime_context().get_node_id()
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
        self._handles.append(ray.remote(cls).options(name=actor.name, namespace=NAMESPACE, **options).remote(*args))
        return actor

    def unplaced(self, actors: Iterable[Actor]) -> int:
        """How many of these workers have no place in the cluster yet: nobody has the CPUs for them. Never on threads."""
        if self.local:
            return 0
        import ray

        waiting = 0
        for actor in actors:
            if actor.name not in self._ready:
                self._ready[actor.name] = ray.get_actor(actor.name, namespace=NAMESPACE).__ray_ready__.remote()
            waiting += not ray.wait([self._ready[actor.name]], timeout=0)[0]
        return waiting

    def stop(self, actor: Actor) -> None:
        """Ends a worker; what it was doing is lost."""
        if actor.local:
            target, pool = _LOCAL.pop(actor.name, (None, None))
            if pool:
                pool.shutdown(wait=False, cancel_futures=True)
            close = getattr(target, "close", None)
            if close:
                close()
            return
        import ray

        _HANDLES.pop(actor.name, None)
        with contextlib.suppress(ValueError):  # it has ended already
            ray.kill(ray.get_actor(actor.name, namespace=NAMESPACE))

    def map(
        self,
        cls: type,
        args: tuple[Any, ...],
        items: Iterable[Any],
        *,
        workers: int | None = None,
        method: str = "run",
        gpus: float = 0.0,
        cpus: float = 1.0,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[Any, Any]]:
        """cls(*args).method(item) over `workers` workers, at most two items in flight each; yields (item, value or Exception).

        Order is not kept. An exception that the method raises is the value: the caller decides. When a worker's process dies, the
        items that it held are tried once more, one in flight a worker, so that only the one that kills it ends as WorkerLost.
        gpus, cpus: what each worker holds of them. stop() is asked before each new item.
        """
        pool = [self.actor(cls, *args, restarts=True, gpus=gpus, cpus=cpus) for _ in range(workers or self.num_cpus)]
        try:
            suspects: list[Any] = []
            for item, value in self._spread(pool, 2, method, items, stop):
                if isinstance(value, WorkerLost):
                    suspects.append(item)
                else:
                    yield item, value
            yield from self._spread(pool, 1, method, suspects, stop)
        finally:
            for actor in pool:
                self.stop(actor)

    @staticmethod
    def _spread(
        pool: list[Actor], depth: int, method: str, items: Iterable[Any], stop: Callable[[], bool]
    ) -> Iterator[tuple[Any, Any]]:
        """One pass over the items with `depth` of them in flight a worker."""
        queue, flying = iter(items), dict[Any, tuple[Actor, Any]]()
        idle = [actor for _ in range(depth) for actor in pool]
        while True:
            while idle and not stop():
                item = next(queue, _END)
                if item is _END:
                    break
                actor = idle.pop()
                flying[actor.call(method, item)] = (actor, item)
            if not flying:
                return
            for call in wait(flying, 1.0)[0]:
                actor, item = flying.pop(call)
                idle.insert(0, actor)
                try:
                    value = result(call)
                except WorkerLost as error:
                    value = error
                    _revive(actor)
                except Exception as error:
                    value = error
                yield item, value
