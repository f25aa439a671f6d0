"""Media are decoded in a child process, so that no file can stop or lose another.

A Supervisor is a worker for svmbench.fleet: it owns one child (a fresh interpreter, not a fork), hands it one item at a time and
waits at most the item's limit. What can happen to an item, as the reason of its BadMedia:

    crash       the child died (segmentation fault, killed, out of the kernel's memory)
    timeout     it was not done within the limit
    memory      it asked for more than the child may have
    exception   anything else that was raised; the detail names it
    (others)    a BadMedia of the work itself passes as it is

An item that crashes or runs out of time is tried once more in a fresh child; the second strike is final. The child
dies with its parent, whatever kills that: the kernel is told so, and a closed pipe ends a waiting child.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Any

from svmbench.errors import BadMedia, SvmbenchError

ITEMS_A_CHILD = 500  # ours: a fresh child after so many items, against leaks in decoders
HEADROOM_BYTES = 3 * 2**30  # ours: address space a child may take beyond what it has once its libraries are loaded
START_LIMIT_S = 180.0  # ours: loading the libraries on a busy machine
STRIKES = 2
BOOT = "import sys; sys.path[:] = sys.argv[3:]; from curation.isolate import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"
SINGLE = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")}


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of work: what the job gets, and the wall time it may take."""

    payload: Any
    limit_s: float


class _Struck(Exception):
    """The child died or ran out of time over an item."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail


class Supervisor:
    """run(item) is job(*args).run(item.payload) in a child. `job` is a class that can be imported by name."""

    def __init__(self, job: type, *args: Any) -> None:
        self._spec = pickle.dumps((job, args))
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._served = 0
        self._closed = False
        self._at_work = threading.Lock()

    def run(self, item: Item) -> Any:
        """The job's value, or BadMedia with the reason. What keeps a child from starting at all is raised as it is."""
        for strike in range(1, STRIKES + 1):
            try:
                with self._at_work:
                    return self._once(item)
            except _Struck as struck:
                if strike == STRIKES or self._closed:
                    raise BadMedia(struck.reason, f"{struck.detail}, {strike} times") from None
        raise AssertionError("unreachable")

    def _once(self, item: Item) -> Any:
        pipe = self._ready()
        try:
            status, value = self._exchange(pipe, item.payload, item.limit_s)
        except _Struck:
            self._end()
            raise
        self._served += 1
        if self._served >= ITEMS_A_CHILD or status == "memory":
            self._end()
        if status == "ok":
            return value
        if status == "error":
            raise value
        raise BadMedia(status, value)

    def _exchange(self, pipe: Connection, message: Any, limit_s: float) -> tuple[str, Any]:
        try:
            pipe.send(message)
            if not pipe.poll(limit_s):
                raise _Struck("timeout", f"not done after {limit_s:.0f} s")
            return tuple(pipe.recv())  # type: ignore[return-value]
        except (EOFError, OSError) as error:
            raise _Struck("crash", self._obituary()) from error

    def _obituary(self) -> str:
        try:
            code = self._child.wait(5) if self._child else 0
        except subprocess.TimeoutExpired:
            return "the child closed its pipe"
        return f"the child died of {signal.Signals(-code).name}" if code < 0 else f"the child exited with {code}"

    def _ready(self) -> Connection:
        """The pipe to a child whose libraries are loaded; starts one where none is."""
        if self._pipe is not None:
            return self._pipe
        ours, theirs = Pipe()
        command = [sys.executable, "-c", BOOT, str(theirs.fileno()), str(os.getpid()), *filter(None, sys.path)]
        self._child = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], env={**os.environ, **SINGLE},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        self._pipe, self._served = ours, 0
        try:
            status, value = self._exchange(ours, self._spec, START_LIMIT_S)
        except _Struck as struck:
            self._end()
            raise RuntimeError(f"a decode child could not start: {struck.reason}, {struck.detail}") from None
        if status != "ok":
            self._end()
            raise value if status == "error" else RuntimeError(f"a decode child could not start: {value}")
        return ours

    def _end(self) -> None:
        pipe, child, self._pipe, self._child = self._pipe, self._child, None, None
        if pipe is not None:
            pipe.close()
        if child is not None:
            child.kill()
            child.wait()

    def close(self) -> None:
        """Ends the child, also while it works."""
        self._closed = True
        child = self._child
        if child is not None:
            child.kill()
        with self._at_work:
            self._end()


def serve(handle: int, parent: int) -> None:
    """The child: takes the job, then one payload after the other, and answers each with (status, value)."""
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is the parent's business
    pipe = Connection(handle)
    job: Any = None
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            message = pipe.recv()
            answer = _start(message) if job is None else _attempt(job.run, message)
            if job is None and answer[0] == "ok":
                job, answer = answer[1], ("ok", None)
                _limit_memory()
            _answer(pipe, answer)


def _start(spec: bytes) -> tuple[str, Any]:
    def build(spec: bytes) -> Any:
        job, args = pickle.loads(spec)
        return job(*args)

    return _attempt(build, spec)


def _attempt(work: Any, argument: Any) -> tuple[str, Any]:
    try:
        return "ok", work(argument)
    except SvmbenchError as error:
        return "error", error
    except MemoryError:
        return "memory", f"more than {HEADROOM_BYTES >> 20} MiB"
    except Exception as error:
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        short = any(sign in text for sign in ("Insufficient memory", "not enough memory", "can't allocate memory"))
        return ("memory" if short else "exception"), text


def _answer(pipe: Connection, answer: tuple[str, Any]) -> None:
    try:
        pipe.send(answer)
    except (pickle.PicklingError, AttributeError, TypeError, MemoryError) as error:
        pipe.send(("exception", f"the result cannot be sent: {type(error).__name__}: {error}"))


def _die_with(parent: int) -> None:
    """Asks the kernel to kill this process when the thread that started it ends; the parent may have died already."""
    pr_set_pdeathsig = 1
    with contextlib.suppress(OSError, AttributeError):  # not Linux: the closed pipe is what remains
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _limit_memory() -> None:
    """Address space: what is taken now, the libraries, plus the headroom."""
    with open("/proc/self/statm") as handle:
        taken = int(handle.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + HEADROOM_BYTES, resource.RLIM_INFINITY))
