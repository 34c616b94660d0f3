"""Network files that earlier versions wrote open for ever, and draw what they drew.

Each file of `written` bears the commit that wrote it, with what that version computed of it beside it as float32. A
new version of the format adds files here; none is ever replaced.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import core
from core import latents

WRITTEN = Path(__file__).parent / "written"
FILES = sorted(WRITTEN.glob("*.safetensors"))


def test_every_architecture_has_one() -> None:
    assert {core.load(path).generator.arch for path in FILES} == {"stylegan", "stylegan2"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_an_earlier_version_wrote_is_drawn_as_it_drew_it(path: Path) -> None:
    opened = core.load(path)
    assert opened.about["format"] == 1 and opened.about["training"] == {"images_seen": 12, "data": "noise"}
    assert (opened.crop, opened.about["credit"]) == ((2, 1, 24, 22), "nobody")
    g, label = opened.generator, torch.tensor([2, 0])
    assert opened.live is not None and opened.discriminator is not None
    w = g.mapping(latents.seeds_to_z([3, 7], g.z_dim), label)
    ws = g.truncate(w, psi=0.6, cutoff=4)
    found = {"w": w, "image": g.synthesis(ws), "live": opened.live.synthesis(ws), "numbered": g.synthesis(ws, noise=4)}
    if g.grows:
        found["fading"] = g.synthesis(ws, size=(14, 12), alpha=0.25)
    found["logits"] = opened.discriminator(found["image"], label)
    with np.load(path.with_suffix(".npz")) as kept:
        assert set(kept) == set(found)
        for name, theirs in kept.items():
            tolerance = 1e-5 * max(1.0, float(np.abs(theirs).max()))
            np.testing.assert_allclose(found[name].detach().numpy(), theirs, rtol=0, atol=tolerance, err_msg=name)
