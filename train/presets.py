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
    #              size      kimg   batch  base   max    z    w  map   ema   tick  snap  samples
    "smoke":      ("32",      0.4,     4,   512,   32,   64,   64,  2,  0.1,  0.008, 10,  12),
    "brain":      ("auto", 5000.0,    16,  8192,  256,  256,  256,  4, 10.0,  4.0,   10,  24),
    "brain-half": ("112x96", 400.0,    8,  2048,  256,  256,  256,  4,  3.0,  1.0,   10,  24),
    "avatars":    ("64",    400.0,    16,  4096,  256,  256,  256,  4,  3.0,  2.0,   10,  24),
}

_MORE: dict[str, dict[str, Any]] = {
    "smoke":      dict(r1_every=2, precision="float32", threads=1),
    "brain-half": dict(gamma=0.5, path_every=8),
    "avatars":    dict(path_every=8),
}

_ABOUT = {
    "smoke":      "does everything work? 32x32, ends in under a minute on a CPU",
    "brain":      "brain slices of 208x176, unscaled, for a GPU",
    "brain-half": "brain slices at 112x96, half their size, for a CPU",
    "avatars":    "cartoon portraits at 64x64, for a CPU",
}
# fmt: on

PRESETS = {
    name: Preset(_ABOUT[name], {**dict(zip(_COLUMNS, row, strict=True)), **_MORE.get(name, {})})
    for name, row in _TABLE.items()
}


def preset(name: str) -> dict[str, Any]:
    """What the preset `name` sets. Raises SettingError."""
    if name not in PRESETS:
        raise SettingError("preset", name, "one of " + ", ".join(PRESETS))
    return dict(PRESETS[name].values)
