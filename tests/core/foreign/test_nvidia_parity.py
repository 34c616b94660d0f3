"""Pickles of every build of NVIDIA's StyleGAN2 against a float64 computation from what stands in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import core
from tests.core.foreign import nvidia_files as files
from tests.core.foreign import nvidia_reference as reference
from tests.core.foreign.test_nvidia import ASYMMETRIC, KINDS, made

CLAMPED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "conditional plain": (
        {"architecture": "orig", "num_classes": 3, "conv_clamp": 2.0, "resample_filter": (1, 4, 2)},
        {"architecture": "orig", "num_classes": 3, "conv_clamp": 1.5, "resample_filter": (3, 1)}),
    "conditional residual": (
        {"architecture": "resnet", "num_classes": 2, "mapping_layers": 1, "resample_filter": (3, 1)},
        {"architecture": "skip", "num_classes": 2, "map_dim": 5, "mapping_layers": 1, "std_channels": 3}),
    "conditional skip, deeper": (
        {"size": (64, 64), "filters": (7, 6, 5, 4, 3), "num_classes": 3, "mapping_layers": 5, "w_dim": 12},
        {"size": (64, 64), "filters": (6, 3, 5, 4, 2), "num_classes": 3, "resample_filter": ASYMMETRIC,
         "group_size": 2}),
    "eight pixels": ({"size": (8, 8), "filters": (4, 4)}, {"size": (8, 8), "filters": (4, 4), "channels": 3}),
    "gray": ({"channels": 1, "use_noise": False}, {"channels": 1, "group_size": 3}),
}  # fmt: skip


def close(ours: Tensor, theirs: Tensor) -> None:
    worst = ((ours.double() - theirs).abs() / theirs.abs().clamp_min(1)).max().item()
    assert worst < 1e-4, f"differs by {worst:.2e}"


@pytest.mark.parametrize("kind", [*KINDS, *CLAMPED])
def test_as_its_program_computes(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, kind, {**KINDS, **CLAMPED}[kind])
    g, d = made(kind)
    with torch.no_grad():  # the scale of a trained network: pictures about -1 to 1
        for network in (g, d):
            for name, tensor in network.named_parameters():
                if name.endswith(("bias", "strength")):
                    tensor.mul_(0.2).add_(1 if "affine.bias" in name else 0)
        g.mapping.w_avg.mul_(0.3)
    later = kind in ("usual", "conditional plain", "residual")
    theirs = {"G_ema": files.generator(g, later=later), "D": files.discriminator(d, frozen=1)}
    opened = core.load(files.write(tmp_path / "x", protocol=4, **theirs))
    ours, critic = opened.generator, opened.discriminator
    of_g, of_d = reference.Parts(theirs["G_ema"]), reference.Parts(theirs["D"])
    assert critic is not None

    z = torch.randn(6, g.z_dim, generator=torch.Generator().manual_seed(1))
    soft = torch.rand(6, max(1, g.num_classes), generator=torch.Generator().manual_seed(2))
    label = soft / soft.sum(1, keepdim=True) if g.num_classes else None
    c = None if label is None else label.double()
    w = reference.mapped(of_g, z.double(), c)
    close(ours.mapping(z, label), w)
    average = of_g["mapping.w_avg"]
    ws = (average + 0.7 * (w - average))[:, None].repeat(1, g.num_ws, 1)
    close(ours.truncate(w.float(), psi=0.7), ws)
    ws = ws + 0.3 * torch.randn(ws.shape, generator=torch.Generator().manual_seed(3)).double()  # every row another
    ws.requires_grad_()
    rows = ws.detach().float().requires_grad_()
    images = reference.pictures(of_g, ws)
    shown = ours.synthesis(rows, noise="const")
    close(shown, images)
    close(ours.synthesis(rows.detach(), noise="none"), reference.pictures(of_g, ws.detach(), noise=False))
    y = torch.randn(images.shape, generator=torch.Generator().manual_seed(4)).double()
    (lengths,) = torch.autograd.grad((images * y).sum(), ws)
    (mine,) = torch.autograd.grad((shown * y.float()).sum(), rows)
    close(mine, lengths)

    scale = max(1.0, float(images.detach().abs().max()))
    for count in (1, 2, 6):
        if critic.config.std_channels and count % min(count, critic.config.group_size or count):  # type: ignore[union-attr]
            continue  # theirs raises an error
        real = (images[:count].detach() / scale).requires_grad_()
        fake = real.detach().float().requires_grad_()
        few = None if label is None else label[:count]
        said = reference.logits(of_d, real, None if c is None else c[:count])
        answer = critic(fake, few)
        close(answer, said)
        (r1,) = torch.autograd.grad(said.sum(), real)
        (ours_r1,) = torch.autograd.grad(answer.sum(), fake)
        close(ours_r1, r1)
