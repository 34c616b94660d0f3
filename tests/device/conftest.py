"""Commands on a device that stands in for a GPU, and beside them the same on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.device import stand_in

KINDS = ["cuda", "mps"]


@dataclass(frozen=True)
class Done:
    """What a command said, and how often it waited for the device, by the line of ours that asked."""

    said: str
    waits: dict[str, int]


Commands = Callable[..., list[Done]]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What torch wants to find of a device, compiled."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the device that stands in is built on Linux")
    if torch.version.cuda or torch.version.hip:
        pytest.skip("this PyTorch has a GPU's own hooks; the device that stands in needs a build for the CPU")
    try:
        return stand_in.library(tmp_path_factory.mktemp("stand-in"))
    except RuntimeError as wrong:
        if os.environ.get("STYLOSCOPE_BROWSER") == "required":  # where nothing may be left out
            raise
        pytest.skip(f"no C++ compiler for the device that stands in: {' '.join(str(wrong).split())[:200]}")


@pytest.fixture(scope="session")
def commands(built: Path) -> Commands:
    """commands([["train", "--data", ...], ...], kind="cuda"): each as after `python -m`; kind "cpu" is without it.

    All must succeed.
    """

    def run(lines: Sequence[Sequence[object]], *, kind: str) -> list[Done]:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("several.py"))],
            input="".join(json.dumps([str(word) for word in line]) + "\n" for line in lines),
            cwd=stand_in.ROOT, env=dict(os.environ) if kind == "cpu" else stand_in.variables(built, kind),
            capture_output=True, text=True, timeout=220, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(found) == len(lines), done.stdout + done.stderr
        for line, (status, said, _) in zip(lines, found, strict=True):
            assert status == 0, f"{kind}: {line}\n{said}"
        return [Done(said, waits) for _, said, waits in found]

    return run
