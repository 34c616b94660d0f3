"""Training on from networks of other programs: what no setting of ours says stays as it is, also after --resume."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import core
from core.errors import CheckpointError
from core.frame import Frame
from tests.core.foreign import nvidia_files as files
from tests.core.foreign.test_nvidia import made
from tests.interop import FOLDER, needs_interop
from tests.train.test_run import run
from train.config import Config
from train.data import Phantoms
from train.loop import Trainer
from train.networks import Shapes, build, shapes_of

KINDS = [
    "residual", "other widths", "no mapping", "no mapping of classes", "without noise", "eight taps",
    "residual, asymmetric", "gray orig",
]  # fmt: skip


def settings_of(opened: core.Opened) -> dict[str, Any]:
    """The settings that say what a file's generator is, and what they say of its discriminator."""
    g, d = opened.generator.config, opened.discriminator
    found = {
        "arch": opened.generator.arch,
        "filters": ",".join(map(str, g.filters)),
        "z_dim": g.z_dim,
        "w_dim": g.w_dim,
        "mapping_layers": g.mapping_layers,
        "mapping_lr": g.mapping_lr,
        "group": (d.config.group_size if d is not None else 0) or 4,
    }
    if isinstance(g, core.GeneratorConfig):
        found["g_architecture"] = g.architecture
        found["resample_filter"] = ",".join(map(str, g.resample_filter))
        found["d_architecture"] = d.config.architecture if d is not None else "resnet"  # type: ignore[union-attr]
    return found


def trained_on(opened: core.Opened, **more: Any) -> Trainer:
    """A training that begins with a network; one step is made."""
    g = opened.generator
    values = {"data": "phantoms", "size": f"{g.size[0]}", "batch": 4, "r1_every": 1, "init": "file", "path_every": 1}
    if g.arch == "stylegan":
        values |= {"fade": "0", "stable": "0.004", "path_weight": 0}
    config = Config.read({**values, **settings_of(opened), **more})
    data = Phantoms(frame=Frame.of(g.size, size=g.size, fit="native"), channels=g.channels)
    if g.num_classes:
        data.classes, data.labels = (*map(str, range(g.num_classes)),), np.arange(64) % g.num_classes
        data.heads = (0, 64)
    device = torch.device("cpu")
    networks = build(config, size=g.size, channels=g.channels, classes=g.num_classes, device=device, init=opened)
    trainer = Trainer(config, networks, data, device=device)
    assert_equal(networks.g_ema, opened.generator)
    assert_equal(networks.g, opened.live or opened.generator)
    if opened.discriminator is not None:
        assert_equal(networks.d, opened.discriminator)
    trainer.step()
    return trainer


def assert_equal(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    other = theirs.state_dict()
    assert ours.state_dict().keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in ours.state_dict().items())


def assert_near(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert float((ours - theirs).abs().max()) < 1e-4 * float(theirs.abs().max())


def check(opened: core.Opened, trainer: Trainer, path: Path) -> None:
    """After a step the networks compute as the file's do, and a run that goes on builds them again."""
    n = trainer.networks
    assert all(bool(p.isfinite().all()) for network in (n.g, n.d) for p in network.parameters())
    ours, theirs = Shapes(n.g.config, n.d.config), shapes_of(opened)
    assert shapes_of(core.Opened(n.g, n.d, {}, path)) == ours
    d = opened.discriminator
    with torch.no_grad():
        for mine, other in ((n.g, opened.live or opened.generator), (n.d, d)):
            if other is not None:  # other weights now, the same network: theirs with ours make the same of anything
                other.load_state_dict(mine.state_dict())
        ws = torch.randn(2, n.g.num_ws, n.g.w_dim) * 30
        shown = (opened.live or opened.generator).synthesis(ws, noise="none")
        assert_near(n.g.synthesis(ws, noise="none"), shown)
        if d is not None and getattr(d.config, "group_size", 4) is not None:
            label = torch.zeros(2, dtype=torch.long) if n.g.num_classes else None
            assert_near(n.d(shown, label), d(shown, label))
    assert dataclasses.replace(ours.g, start=theirs.g.start) == theirs.g
    again = Shapes.read(path, json.loads(json.dumps(ours.facts())))
    assert again == ours
    shape = {"size": n.g.size, "channels": n.g.channels, "classes": n.g.num_classes, "device": torch.device("cpu")}
    built = build(trainer.config, **shape, like=again)  # type: ignore[arg-type]
    fresh = Trainer(trainer.config, built, trainer.data, device=torch.device("cpu"))
    fresh.restore(trainer.tensors(), trainer.facts())
    assert_equal(fresh.networks.d, n.d)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_nvidias(kind: str, tmp_path: Path) -> None:
    g, d = made(kind)
    path = files.write(tmp_path / "x.pkl", G=files.generator(g), D=files.discriminator(d), G_ema=files.generator(g))
    opened = core.load(path)
    check(opened, trained_on(opened), path)


@needs_interop
@pytest.mark.parametrize(
    "file",
    ["skip/network.pkl", "residual/network.pkl", "rosinality/checkpoint_converted.pt", "stylegan1/train_step-5.model"],
)
def test_the_examples(file: str, tmp_path: Path) -> None:
    opened = core.load(FOLDER / file)
    ours = tmp_path / "x.safetensors"
    core.save(ours, opened.generator, opened.discriminator, opened.about, live=opened.live)
    trainer = trained_on(core.load(ours))
    check(opened, trainer, ours)
    core.save(ours, trainer.networks.g_ema, trainer.networks.d, live=trainer.networks.g)
    again = core.load(ours).generator.config
    assert dataclasses.replace(again, start=opened.generator.config.start) == opened.generator.config


def test_twice_the_size(tmp_path: Path) -> None:
    """Half of the size: the new level has the run's channels, everything else stays the file's."""
    g, d = made("residual")
    path = files.write(tmp_path / "x.pkl", G_ema=files.generator(g), D=files.discriminator(d))
    opened = core.load(path)
    size = (32, 32)
    config = Config.read({"data": "phantoms", "init": "file", **settings_of(opened), "filters": "6,5,4,3", "batch": 4})
    n = build(config, size=size, channels=3, device=torch.device("cpu"), init=opened)
    assert (n.g.config.conv_clamp, n.d.config.conv_clamp) == (0.5, 0.7)  # type: ignore[union-attr]
    assert n.d.config.filters == (6, 5, 4, 3)


def test_a_run_goes_on_with_the_networks_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    g, d = made("gray orig")
    g = core.build_generator(core.GeneratorConfig(**{**vars(g.config), "conv_clamp": 3.0, "use_noise": False})).eval()
    path = files.write(tmp_path / "x.pkl", G_ema=files.generator(g), D=files.discriminator(d))
    out, values = tmp_path / "run", settings_of(core.load(path))
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
    begun = [*flags, "--data=phantoms", "--size=16", "--batch=4", "--tick=0.004", "--device=cpu", f"--init={path}"]
    assert run(monkeypatch, *begun, "--kimg=0.008", "--out", out) == 0
    path.unlink()  # it is not needed any more
    assert run(monkeypatch, "--out", out, "--resume", "--kimg=0.016") == 0
    saved = core.load(sorted((out / "checkpoints").iterdir())[-1])
    config = saved.generator.config
    assert isinstance(config, core.GeneratorConfig) and (config.conv_clamp, config.use_noise) == (3.0, False)
    assert "Traceback" not in capsys.readouterr().err


def test_networks_that_a_state_cannot_mean() -> None:
    good = shapes_of(core.Opened(*made("usual"), {}, Path("x"))).facts()
    assert Shapes.read(Path("x"), json.loads(json.dumps(good))).g.filters == (6, 5, 4)
    for bad in (
        7,
        {},
        {**good, "arch": "other"},
        {**good, "arch": []},
        {**good, "config": []},
        {**good, "config": {"size": [1 << 40, 4]}},
    ):
        with pytest.raises(CheckpointError, match="^x "):
            Shapes.read(Path("x"), bad)
