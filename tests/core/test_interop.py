"""Our networks with other people's weights show their pictures: every array of ../shared/interop, within 1e-4."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
import torch
from torch import Tensor

import core
from tests.interop import close, needs_interop, nvidia, reference, rosinality

pytestmark = needs_interop
BOTH = ["skip", "residual"]
ALL = [*BOTH, "rosinality"]


@cache
def networks(name: str) -> tuple[core.Generator, core.Discriminator]:
    return rosinality() if name == "rosinality" else nvidia(name)


def labels(name: str) -> Tensor | None:
    return reference(name)["c"] if name == "skip" else None


def repeated(w: Tensor, g: core.Generator) -> Tensor:
    return w[:, None].expand(-1, g.num_ws, -1)


@pytest.mark.parametrize("name", ALL)
@torch.no_grad()
def test_mapping(name: str) -> None:
    g, _ = networks(name)
    r = reference(name)
    close(g.mapping(r["z"], labels(name)), r["w"])
    assert g.num_ws == int(r["num_ws" if name in BOTH else "n_latent"])
    close(g.w_avg, r["w_avg" if name in BOTH else "latent_avg"])


@pytest.mark.parametrize("name", ALL)
@torch.no_grad()
def test_pictures(name: str) -> None:
    g, _ = networks(name)
    r = reference(name)
    ws = repeated(r["w"], g)
    close(g.synthesis(ws, noise="none"), r["image_none"])
    close(g.synthesis(ws[:2], noise="const"), r["image_const"])


@pytest.mark.parametrize("name", BOTH)
@torch.no_grad()
def test_truncation(name: str) -> None:
    g, _ = networks(name)
    r = reference(name)
    half = g.truncate(r["w"], psi=0.5)
    close(half, repeated(r["ws_psi05"], g))
    cut = g.truncate(r["w"], psi=0.7, cutoff=4)
    close(cut, r["ws_psi07_cut4"])
    close(g.synthesis(half[:1]), r["image_psi05_const"])
    close(g.synthesis(cut[1:2]), r["image_psi07_cut4_const"])
    assert torch.equal(g.truncate(r["w"], psi=1), repeated(r["w"], g))


@torch.no_grad()
def test_truncation_rosinality() -> None:
    g, _ = networks("rosinality")
    r = reference("rosinality")
    ws = g.truncate(r["w"], psi=0.5)
    close(ws, repeated(r["w_trunc05"], g))
    close(g.synthesis(ws[:1]), r["image_trunc05_const"])
    close(g.synthesis(repeated(r["w"], g)[2:3]), r["image_latent_const"])


@pytest.mark.parametrize("name", ALL)
@torch.no_grad()
def test_mixing_and_rows(name: str) -> None:
    g, _ = networks(name)
    r = reference(name)
    word = "ws" if name in BOTH else "latent"
    ws, k = repeated(r["w"], g), int(r["mix_k"])
    mixed = core.latents.mix(ws[:1], ws[1:2], range(k, g.num_ws))
    close(mixed, r[f"mix_{word}"])
    close(g.synthesis(mixed), r["mix_image_const"])
    close(g.synthesis(r[f"rows_{word}"]), r["rows_image_const"])


@pytest.mark.parametrize("name", BOTH)
def test_layers(name: str) -> None:
    g, _ = networks(name)
    r = reference(name)
    with torch.no_grad():
        seen = dict(_watched(g, repeated(r["w"], g)[:1]))
    keys = [key for key in r if key.startswith("layer.")]
    assert keys
    for key in keys:
        layer, _, stride = key.removeprefix("layer.").partition("@")
        ours = seen[layer]
        close(ours[:, :, :: int(stride), :: int(stride)] if stride else ours, r[key])


def _watched(g: core.Generator, ws: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield (their name of a layer, its output) of one run."""
    kept: list[tuple[str, Tensor]] = []
    hooks = []
    for level, block in enumerate(g.synthesis.blocks):
        side = 4 << level
        for part in ("conv0", "conv1", "torgb", "skip"):
            layer = getattr(block, part, None)
            if layer is not None:
                hooks.append(layer.register_forward_hook(lambda _m, _i, y, n=f"b{side}.{part}": kept.append((n, y))))
        hooks.append(
            block.register_forward_hook(
                lambda _m, _i, y, n=f"b{side}.": kept.extend((n + k, v) for k, v in zip(("x", "img"), y, strict=True))
            )
        )
    g.synthesis(ws)
    for hook in hooks:
        hook.remove()
    yield from kept


@pytest.mark.parametrize("name", ALL)
@torch.no_grad()
def test_discriminator(name: str) -> None:
    _, d = networks(name)
    r = reference(name)
    img, c = r["image_none"], labels(name)

    def part(n: int) -> Tensor | None:
        return None if c is None else c[:n]

    for key, n in (("d_single", 1), ("d_batch2", 2), ("d_batch4", 4)):
        close(d(img[:n], part(n)), r[key].squeeze(1))
    if "d_batch6" in r:
        close(d(torch.cat([img, r["image_const"]])), r["d_batch6"].squeeze(1))
    both = None if c is None else torch.cat([c, c])
    close(d(torch.cat([img, img.flip(3)]), both), r["d_batch8"].squeeze(1))
    if c is not None:
        close(d.mapping(None, c), r["d_cmap"])


@torch.no_grad()
def test_the_clamp_acts_where_theirs_does() -> None:
    g, d = nvidia("skip", conv_clamp=1.0)
    r = reference("skip")
    close(g.synthesis(repeated(r["w"], g)[:1]), r["clamp1_image_const"])
    close(d(r["image_none"], r["c"]), r["clamp1_d_batch4"].squeeze(1))


@pytest.mark.parametrize("name", ALL)
def test_gradient_penalty(name: str) -> None:
    _, d = networks(name)
    r = reference(name)
    img = r["image_none"].clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(d(img, labels(name)).sum(), img)
    close(gradient[:1], r["r1_grad0"])
    close(gradient.square().sum(dim=(1, 2, 3)), r["r1_penalty"])


@pytest.mark.parametrize("name", ALL)
def test_path_length_gradient(name: str) -> None:
    g, _ = networks(name)
    r = reference(name)
    noise = r["pl_noise"]
    ws = repeated(r["w"][: len(noise)], g).clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad((g.synthesis(ws) * noise).sum(), ws)
    close(gradient, r["pl_grad"])
    if "pl_lengths_scaled" in r:
        scaled = gradient / (noise.shape[2] * noise.shape[3]) ** 0.5
        close(scaled.square().sum(2).mean(1).sqrt(), r["pl_lengths_scaled"])
