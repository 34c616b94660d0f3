"""Small networks for the explorer's tests: a gray one with a margin, an RGB one with classes, and a run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

import core
from core.sizes import filters
from core.stylegan2 import GeneratorConfig
from explorer.studio import Studio


def toy(
    path: Path, *, seed: int = 0, size: tuple[int, int] = (14, 12), crop: list[int] | None = None, **more: int
) -> Path:
    """Write a random network whose noise counts; returns the path."""
    torch.manual_seed(seed)
    settings: dict[str, Any] = {"z_dim": 8, "w_dim": 8, "mapping_layers": 2, **more}
    config = GeneratorConfig(size=size, filters=filters(size, base=64, maximum=16), **settings)
    generator = core.build_generator(config)
    with torch.no_grad():
        generator.w_avg.normal_()
        for name, parameter in generator.named_parameters():
            if name.endswith("strength"):
                parameter.fill_(0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    core.save(path, generator, about={"picture": {"crop": crop or [0, 0, *size]}, "credit": "made by a test"})
    return path


def growing(path: Path, *, seed: int = 0, crop: list[int] | None = None, grown: dict[str, Any] | None = None) -> Path:
    """Write a random gray StyleGAN of 28 x 24, grown from 7 x 6; returns the path."""
    torch.manual_seed(seed)
    config = core.stylegan.GeneratorConfig(size=(28, 24), filters=(12, 8, 8), z_dim=8, w_dim=8, mapping_layers=2)
    generator = core.build_generator(config)
    with torch.no_grad():
        generator.w_avg.normal_()
    path.parent.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {"picture": {"crop": crop or [2, 1, 25, 22]}, "credit": "made by a test"}
    core.save(path, generator, about={**about, **({"grown": grown} if grown else {})})
    return path


def until(said: Callable[[], Any], *, seconds: float = 60) -> None:
    """Wait for something true."""
    end = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """checkpoints/ with brain (gray, cut to 12 x 11) and colour (RGB, 3 classes); runs/first with two networks."""
    root = tmp_path_factory.mktemp("house")
    toy(root / "checkpoints" / "brain.safetensors", crop=[1, 0, 12, 11])
    toy(root / "checkpoints" / "colour.safetensors", seed=1, size=(16, 16), channels=3, num_classes=3)
    toy(root / "runs" / "first" / "checkpoints" / "000004.safetensors", seed=2)
    toy(root / "runs" / "first" / "checkpoints" / "000012.safetensors", seed=3)
    (root / "runs" / "first" / "config.json").write_text("{}", encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def studio(folder: Path) -> Studio:
    """A studio over `folder`."""
    return Studio(folder / "checkpoints", folder / "runs", device="cpu")


@pytest.fixture
def own(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A studio whose folder and cache a test may write to."""
    shutil.copytree(folder / "checkpoints", tmp_path / "checkpoints")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    return Studio(tmp_path / "checkpoints", tmp_path / "runs", device="cpu")


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address of an app that a thread of this process serves."""
    import uvicorn

    from explorer.web import listen

    listening = listen("127.0.0.1", 0)
    running = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    running.should_exit = True
    thread.join(timeout=10)
