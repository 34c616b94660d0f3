"""Memory that is freed is there for the next tensor, without the system's clearing it first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource
import sys

import torch

from core.memory import keep_freed_memory

if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit(3)
for _ in range(10):
    torch.ones(16, 2**20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(16, 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Pages that a new process was given while it took and freed 64 MiB ten times."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], cwd=root, capture_output=True, text=True, timeout=300)
    if done.returncode == 3:
        pytest.skip("another C library than glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_freed_memory_is_taken_again() -> None:
    kept, lost = faults("kept"), faults("lost")
    # Now and then something small is put where a large one was, which then finds another place, once.
    assert 3 * kept < lost, "64 MiB are 16,384 pages, or 32 large ones"
