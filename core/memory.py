"""What large tensors leave is kept for the next ones, where the C library would rather give it back."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_MOST = 2**31 - 1  # bytes, the largest that mallopt takes


def keep_freed_memory() -> bool:
    """Let this process keep up to 2 GiB of what it frees; returns whether its C library does so. Linux with glibc.

    glibc maps what is larger than 32 MiB anew each time, and gives the top of its heap back as soon as that is free. A
    step of training frees and takes the same tensors again and again, and each of their pages would be cleared first.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(name, _MOST) == 1 for name in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
