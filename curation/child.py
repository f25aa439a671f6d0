"""A child process and the pipe to it: `Child` is the parent's end, `serve` runs inside.

The child is a fresh interpreter that takes a job, then one payload after the other. A message is its length in eight bytes, then
a pickle. An answer is (status, value, spent): 'ok' with the job's value, 'error' with an SvmbenchError as it was raised, 'memory'
or 'exception' with one line; spent asks for a fresh child. What happens inside (a segmentation fault, an exit, a closed pipe)
ends the child at worst; the parent hears of it by the end of the pipe.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import Any

from svmbench.errors import SvmbenchError

HEADROOM_BYTES = 2 * 2**30  # ours: address space beyond what is taken once the libraries are loaded
RESULT_BYTES = 64 * 2**20  # ours: the longest answer; that of a clip is below one
LENGTH = struct.Struct("!Q")
MEMORY_BYTES = 2**30  # ours: resident memory of a child; the target is 600 MB, tests/perf/worker_memory.py measures it
WATCH_S = 0.05  # ours: how often the memory is looked at
BOOT = "import sys; sys.path[:] = sys.argv[3:]; from curation.child import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"
SINGLE = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")}
OUT_OF_MEMORY = ("Insufficient memory", "not enough memory", "Cannot allocate memory", "can't allocate memory")


class Struck(Exception):
    """The child died over an item, ran out of time or took too much memory."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail


class Child:
    """The process and our end of its pipe. It has a process group of its own: what it starts ends with it."""

    def __init__(self) -> None:
        self.pipe, theirs = socket.socketpair()
        command = [sys.executable, "-c", BOOT, str(theirs.fileno()), str(os.getpid()), *filter(None, sys.path)]
        with theirs:
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env={**os.environ, **SINGLE}, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def ask(self, message: Any, limit_s: float) -> tuple[str, Any, bool]:
        """The answer to a message; Struck where none comes."""
        until = time.monotonic() + limit_s
        try:
            self.pipe.settimeout(limit_s)
            self.pipe.sendall(packed(message))
            self.pipe.settimeout(WATCH_S)
            length = LENGTH.unpack(self._read(LENGTH.size, until))[0]
            if length > RESULT_BYTES + 1024:
                raise Struck("crash", "the child wrote nonsense into its pipe")
            data = self._read(length, until)
        except TimeoutError:
            raise Struck("timeout", f"not done after {limit_s:.0f} s") from None
        except (EOFError, OSError) as error:
            raise Struck("crash", self._obituary()) from error
        try:
            status, value, spent = pickle.loads(data)
        except Exception as error:
            return "exception", f"the answer cannot be read: {type(error).__name__}: {error}", True
        return status, value, spent

    def _read(self, length: int, until: float) -> bytearray:
        """So many bytes; looks at the child meanwhile."""
        data = bytearray()
        while len(data) < length:
            try:
                piece = self.pipe.recv(min(length - len(data), 2**20))
            except TimeoutError:
                if self._is_dead():  # and something that it started holds the pipe open
                    raise EOFError from None
            else:
                if not piece:
                    raise EOFError
                data += piece
            taken = self.memory_bytes()
            if taken > MEMORY_BYTES:
                raise Struck("memory", f"{taken >> 20} MiB resident, more than {MEMORY_BYTES >> 20}")
            if time.monotonic() > until:
                raise TimeoutError
        return data

    def memory_bytes(self) -> int:
        """Resident and swapped-out memory of the process; 0 once it has ended."""
        with contextlib.suppress(OSError), open(f"/proc/{self.process.pid}/status") as handle:
            return sum(int(line.split()[1]) << 10 for line in handle if line.startswith(("VmRSS:", "VmSwap:")))
        return 0

    def _is_dead(self) -> bool:
        """Without reaping it, so that its number, and that of its group, is not given to another."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _obituary(self) -> str:
        until = time.monotonic() + 5.0
        while not self._is_dead():
            if time.monotonic() > until:
                return "the child closed its pipe"
            time.sleep(0.01)
        self.end()
        code = self.process.returncode
        if code >= 0:
            return f"the child exited with {code}"
        known = -code in set(signal.Signals)  # those for real time have no name
        return f"the child died of {signal.Signals(-code).name if known else f'signal {-code}'}"

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.process.returncode is None:
                os.killpg(self.process.pid, signal.SIGKILL)

    def end(self) -> None:
        self.kill()
        self.process.wait()
        self.pipe.close()


def serve(handle: int, parent: int) -> None:
    """Answers until the parent closes the pipe or dies."""
    _die_with(parent)
    _first_to_go()
    pipe = socket.socket(fileno=handle)
    job: Any = None
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            message = _receive(pipe)
            if job is None:
                status, value = _attempt(_build, message)
                if status == "ok":
                    job, value = value, None
                    _limit_memory()
                threads, spent = threading.active_count(), False
            else:
                status, value = _attempt(job.run, message)
                spent = status == "memory" or threading.active_count() > threads  # something still runs in here
            pipe.sendall(_packed(status, value, spent))


def packed(value: Any) -> bytes:
    """A message: what goes through the pipe."""
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(data)) + data


def _packed(status: str, value: Any, spent: bool) -> bytes:
    """The answer; one that cannot be sent, or is too long, becomes a line that says so."""
    try:
        data = packed((status, value, spent))
    except MemoryError:
        return packed(("memory", "the result cannot be packed", True))
    except Exception as error:
        return packed(("exception", f"the result cannot be sent: {_line(error)}", spent))
    if len(data) <= RESULT_BYTES:
        return data
    return packed(("exception", f"a result of {len(data) >> 20} MiB, more than {RESULT_BYTES >> 20}", spent))


def _receive(pipe: socket.socket) -> Any:
    def exactly(length: int) -> bytes:
        data = pipe.recv(length, socket.MSG_WAITALL)
        if len(data) < length:
            raise EOFError
        return data

    return pickle.loads(exactly(LENGTH.unpack(exactly(LENGTH.size))[0]))


def _build(spec: bytes) -> Any:
    job, args = pickle.loads(spec)
    return job(*args)


def _attempt(work: Any, argument: Any) -> tuple[str, Any]:
    try:
        return "ok", work(argument)
    except SvmbenchError as error:
        return "error", error
    except MemoryError as error:
        return "memory", f"more than {HEADROOM_BYTES >> 20} MiB of address space: {_line(error)}"
    except Exception as error:
        text = _line(error)
        return ("memory" if any(sign in text for sign in OUT_OF_MEMORY) else "exception"), text


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _die_with(parent: int) -> None:
    """Asks the kernel to kill this process when the thread that started it ends; the parent may have died already."""
    pr_set_pdeathsig = 1
    with contextlib.suppress(OSError, AttributeError):  # not Linux: the closed pipe is what remains
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _first_to_go() -> None:
    """A machine out of memory kills this process before any other; and a crash writes no image of it to the disk."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as handle:
        handle.write("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_memory() -> None:
    """Address space: what is taken now, the libraries, plus the headroom."""
    with open("/proc/self/statm") as handle:
        taken = int(handle.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + HEADROOM_BYTES, resource.RLIM_INFINITY))
