"""Named configurations as one table: a row sets these columns, everything else keeps its default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.errors import SettingError

__all__ = ["PRESETS", "Preset", "preset"]


@dataclass(frozen=True)
class Preset:
    """One row: what it is for, and what it sets."""

    about: str
    values: dict[str, Any]


# fmt: off
_COLUMNS = ("size", "kimg", "batch", "channel_base", "channel_max", "z_dim", "w_dim", "mapping_layers", "ema_kimg",
            "tick", "snapshot", "samples")

_TABLE: dict[str, tuple[Any, ...]] = {
    #               size      kimg   batch  base   max    z    w  map   ema   tick  snap  samples
    "smoke":       ("32",      0.4,     4,   512,   32,   64,   64,  2,  0.1,  0.008, 10,  12),
    "brain":       ("auto", 5000.0,    16,  8192,  256,  256,  256,  4, 10.0,  4.0,   10,  24),
    "brain-light": ("auto",  400.0,    16,  2048,  256,  256,  256,  4,  4.0,  2.0,    5,  24),
    "brain-half":  ("112x96", 400.0,   16,  2048,  256,  256,  256,  4,  3.0,  2.0,    5,  24),
    "avatars":     ("64",    200.0,    16,  2048,  160,  192,  192,  4,  3.0,  2.0,   10,  24),
}

_MORE: dict[str, dict[str, Any]] = {
    "smoke":       dict(r1_every=2, precision="float32", threads=1),
    "brain":       dict(reconstruct=100.0, hold=4.0, gamma=4.0, path_weight=0.0, style_mixing=0.5),
    "brain-light": dict(filters="256,128,64,32,16,16", reconstruct=20.0, hold=4.0, gamma=4.0, path_weight=0.0,
                        style_mixing=0.5),
    "brain-half":  dict(reconstruct=100.0, hold=4.0, gamma=2.0, path_weight=0.0, style_mixing=0.5),
    "avatars":     dict(gamma=1.0, path_weight=0.0),
}

_GROWING_COLUMNS = ("size", "filters", "batch", "batches", "fade", "stable", "z_dim", "w_dim", "mapping_layers",
                    "ema_kimg", "tick", "snapshot", "samples")

# fade and stable as in docs/training.md: kimg, or passes over the pictures; one number for all sizes, or one a size.
_GROWING: dict[str, tuple[Any, ...]] = {
    "smoke-progressive": (
        "32", "auto", 16, "auto", "0.5", "0.5",
        64, 64, 2, 0.1, 0.25, 4, 12),
    "brain-progressive": (
        "112x96", "192,128,64,32,16", 16, "auto", "0,2,4,8,12", "2,3,6,12,300",
        192, 192, 6, 4.0, 2.0, 5, 24),
    "progressive-256": (
        "256", "256,256,256,256,128,64,32", 32, "32,32,32,32,16,8,4", "20e", "20e",
        512, 512, 8, 10.0, 10.0, 5, 24),
    "progressive-256-light": (
        "256", "256,256,256,256,128,64,32", 16, "16,16,8,8,8,4,4", "20e", "20e,0,0,0,0,0,0",
        200, 200, 6, 10.0, 10.0, 5, 24),
}

_GROWING_MORE: dict[str, dict[str, Any]] = {
    "smoke-progressive": dict(channel_base=512, channel_max=32, g_lr=0.003, d_lr=0.003, r1_every=4,
                              precision="float32", threads=1),
    "brain-progressive": dict(start="7x6", reconstruct=60.0, hold=4.0, gamma=3.0, style_mixing=0.5, g_lr=0.0015,
                              d_lr=0.0015, r1_every=8),
    "progressive-256": dict(start="4", loss="wgan-gp"),
    "progressive-256-light": dict(start="4", loss="wgan-gp"),
}

_ABOUT = {
    "smoke":       "does everything work? 32x32, ends in under a minute on a CPU",
    "brain":       "brain slices of 208x176, unscaled, for a GPU",
    "brain-light": "brain slices of 208x176, unscaled, for a CPU: begin with a brain-half by --init",
    "brain-half":  "brain slices at 112x96, half their size, for a CPU",
    "avatars":     "cartoon portraits at 64x64, for a CPU",
    "smoke-progressive":     "does growing work? 4x4 to 32x32, ends in under a minute on a CPU",
    "brain-progressive":     "brain slices at 112x96, grown from 7x6, for a CPU",
    "progressive-256":       "any pictures at 256x256, every size faded in, then trained, for a GPU",
    "progressive-256-light": "the same in less memory and time: small batches, and no training after the fades",
}
# fmt: on

PRESETS = {
    name: Preset(_ABOUT[name], {**dict(zip(_COLUMNS, row, strict=True)), **_MORE.get(name, {})})
    for name, row in _TABLE.items()
} | {
    name: Preset(
        _ABOUT[name], {"arch": "stylegan", **dict(zip(_GROWING_COLUMNS, row, strict=True)), **_GROWING_MORE[name]}
    )
    for name, row in _GROWING.items()
}


def preset(name: str) -> dict[str, Any]:
    """What the preset `name` sets. Raises SettingError."""
    if name not in PRESETS:
        raise SettingError("preset", name, "one of " + ", ".join(PRESETS))
    return dict(PRESETS[name].values)
