"""Whatever a network is looked at with, on a GPU and on the CPU: the same pictures, the same numbers."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from core import pictures
from tests.device import stand_in
from tests.device.conftest import KINDS, Commands
from tests.explorer.conftest import growing, toy
from tests.train import make


def lines(folder: Path, kind: str) -> list[list[object]]:
    """Every verb that draws, and the measures."""
    out = folder / kind
    out.mkdir()
    common = ["--checkpoints", folder / "networks", "--device", kind, "--checkpoint"]
    own = [*common, "plain"]
    return [
        ["explorer", "render", *own, "--seeds", "1", "--out", out / "one"],
        ["explorer", "render", *own, "--seeds", "1", "--out", out / "narrow", "--precision", "bfloat16"],
        ["explorer", "render", *own, "--seeds", "1", "--bits", "16", "--out", out / "deep"],
        ["explorer", "render", *common, "grown", "--seeds", "2", "--grown", "14x12:0.5", "--out", out / "half"],
        ["explorer", "grid", *common, "classes", "--seeds", "0-3", "--label", "1", "--out", out / "grid.png"],
        ["explorer", "mix", *own, "--rows", "1", "--columns", "2", "--layers", "1-2", "--out", out / "mix.png"],
        ["explorer", "interpolate", *own, "--seeds", "1,2", "--steps", "3", "--out", out / "film"],
        ["explorer", "bilinear", *own, "--seeds", "1,2,3,4", "--steps", "3", "--out", out / "corners.png"],
        ["explorer", "layers", *own, "--seeds", "1", "--layer", "2", "--out", out / "layer.png"],
        ["explorer", "directions", *own, "--method", "pca", "--number", "2", "--out", out / "directions.png"],
        ["explorer", "compare", *own, "--with", "other", "--seeds", "1", "--out", out / "compare.png"],
        ["explorer", "map", *own, "--samples", "40", "--method", "pca", "--out", out / "map.csv"],
        ["explorer", "project", *own, folder / "seen.png", "--steps", "20", "--noise-maps", "--space", "w+",
         "--out", out / "point.safetensors"],
        ["explorer", "nearest", *own, "--seeds", "1", "--data", folder / "data", "--out", out / "nearest.png"],
        ["train.metrics", "--checkpoint", folder / "networks" / "plain.safetensors", "--data", folder / "data",
         "--count", "12", "--metrics", "swd,frechet_random,path_length_random", "--device", kind],
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Path:
    """KIND/ is what all verbs leave on a device."""
    folder = tmp_path_factory.mktemp("looked at")
    toy(folder / "networks" / "plain.safetensors", size=(28, 24))
    toy(folder / "networks" / "other.safetensors", size=(28, 24), seed=1)
    toy(folder / "networks" / "classes.safetensors", num_classes=3)
    growing(folder / "networks" / "grown.safetensors")
    make.folder(folder / "data", count=24, size=(28, 24))
    make.picture("L", (28, 24), seed=3).save(folder / "seen.png")
    for kind in ("cpu", *KINDS):
        for done in commands(lines(folder, kind), kind=kind):
            assert "cannot draw" not in done.said and "another picture" not in done.said, done.said
    return folder


def drawn(folder: Path) -> dict[str, np.ndarray]:
    """All pictures by name, as numbers."""
    files = sorted(path for path in folder.rglob("*.png"))
    return {path.relative_to(folder).as_posix(): np.asarray(Image.open(path)).astype(int) for path in files}


@pytest.mark.parametrize("kind", KINDS)
def test_every_verb_draws_what_the_cpu_draws(kind: str, folder: Path) -> None:
    ours, expected = drawn(folder / kind), drawn(folder / "cpu")
    assert ours.keys() == expected.keys() and len(expected) >= 14
    for name, levels in ours.items():
        # bfloat16 rounds to a hundredth, and 16 bits show what 8 hide.
        most = {"narrow/seed0001.png": 12, "deep/seed0001.png": 16}.get(name, 1)
        assert levels.shape == expected[name].shape and np.abs(levels - expected[name]).max() <= most, name


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_served_from_the_device(kind: str, folder: Path, built: Path) -> None:
    app = subprocess.Popen(
        [sys.executable, "app.py", "--no-browser", "--port", "0", "--checkpoints", str(folder / "networks")],
        cwd=stand_in.ROOT, env=stand_in.variables(built, kind), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert app.stdout is not None
        address = app.stdout.readline().split(" open at ")[1].strip()
        wish = quote(json.dumps({"checkpoint": "plain", "seed": 1}))
        with urllib.request.urlopen(f"{address}frame?recipe={wish}", timeout=60) as answer:
            levels = np.asarray(Image.open(BytesIO(answer.read()))).astype(int)
            assert answer.headers["Styloscope-Device"].startswith(kind) and "Styloscope-Note" not in answer.headers
    finally:
        app.terminate()
        app.wait(timeout=20)
    expected = pictures.read(folder / "cpu" / "one" / "seed0001.png").astype(int)
    assert np.abs(levels - expected).max() <= 1
