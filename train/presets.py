"""Named configurations: a name, what it is for, and what it sets; everything else keeps its default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.errors import SettingError

__all__ = ["PRESETS", "Preset", "preset"]


@dataclass(frozen=True)
class Preset:
    """One row of the table."""

    about: str
    values: dict[str, Any]


# fmt: off
PRESETS: dict[str, Preset] = {
    #                    size               kimg          batch     base                 max                w, z                      mapping             how it learns and reports
    "smoke":      Preset("a quick look at whether everything works; ends in under a minute on a CPU",
                   dict(size="32",      kimg=0.4,     batch=8,  channel_base=512,  channel_max=32,  w_dim=64,  z_dim=64,  mapping_layers=2, ema_kimg=0.1, tick=0.04,  snapshot=5, samples=16, r1_every=8)),
    "brain":      Preset("brain slices of 208x176 unscaled, on a GPU",
                   dict(size="auto",    kimg=5000.0,  batch=16, channel_base=8192, channel_max=256, w_dim=256, z_dim=256, mapping_layers=4, ema_kimg=10.0, tick=4.0,  snapshot=10)),
    "brain-half": Preset("brain slices at 112x96, half their size, on a CPU",
                   dict(size="112x96",  kimg=400.0,   batch=8,  channel_base=2048, channel_max=256, w_dim=256, z_dim=256, mapping_layers=4, ema_kimg=3.0, tick=1.0,   snapshot=10, gamma=0.5, path_every=8)),
    "avatars":    Preset("cartoon portraits at 64x64 in RGB, on a CPU",
                   dict(size="64",      kimg=400.0,   batch=16, channel_base=4096, channel_max=256, w_dim=256, z_dim=256, mapping_layers=4, ema_kimg=3.0, tick=2.0,   snapshot=10, path_every=8)),
}
# fmt: on


def preset(name: str) -> dict[str, Any]:
    """What the preset `name` sets. Raises SettingError."""
    if name not in PRESETS:
        raise SettingError("preset", name, "one of " + ", ".join(PRESETS))
    return dict(PRESETS[name].values)
