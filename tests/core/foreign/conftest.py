"""How long files are mutated: a moment, or as long as STYLOSCOPE_FUZZ says, in seconds."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def fuzz_seconds() -> float:
    return float(os.environ.get("STYLOSCOPE_FUZZ", "5"))
