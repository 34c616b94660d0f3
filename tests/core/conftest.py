"""What several tests of the core share."""

from __future__ import annotations

from pathlib import Path

import pytest

import core
from tests.core.network_files import ABOUT, networks


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with everything in it."""
    path = tmp_path_factory.mktemp("networks") / "whole.safetensors"
    g, d, live = networks()
    core.save(path, g, d, ABOUT, live=live)
    return path
