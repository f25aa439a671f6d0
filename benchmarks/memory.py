"""When memory runs out: try again with less at once."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of the device, or of the machine, did not suffice. Some of CUDA's libraries raise a
    plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "not enough memory" in text or "alloc_failed" in text)


def release() -> None:
    """Gives back what failed work held. To be called outside of the except block: inside, the error still holds its frames."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def with_less(do: Callable[[int], T], size: int, tell: Callable[[str], None]) -> T:
    """do(size), and with half the size each time that memory runs out; at size 1 the error is raised."""
    while True:
        try:
            return do(size)
        except Exception as error:
            if size == 1 or not out_of_memory(error):
                raise
        release()
        size //= 2
        tell(f"out of memory; again with {size} at once")
