"""Bounds on the time that work takes a processor, which hold where processors are slow too."""

from __future__ import annotations

import time

_LOOP = 0.02  # seconds that the loop takes where the bounds were set
_MOST = 10.0  # a machine that is slower still is not this project's


def soon(taken: float, *, seconds: float) -> bool:
    """Whether work took less than `seconds` of a processor, or than they are on a machine as slow as this is now."""
    return taken < seconds or taken < seconds * min(_MOST, _loop() / _LOOP)


def _loop() -> float:
    start, found = time.process_time(), dict[int, int]()
    for k in range(300_000):
        found[k & 1023] = found.get(k & 511, 0) + 1
    return time.process_time() - start
