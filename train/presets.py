"""Named configurations as one table: a row sets these columns, everything else keeps its default."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.errors import SettingError
from core.sizes import LARGEST, smallest_size, start_shape
from train.config import Config
from train.growth import grown_sizes
from train.setting import parse_size

__all__ = ["NOTHING", "PRESETS", "Follows", "Preset", "follows", "preset"]

Size = tuple[int, int]


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


# --- pictures of another shape than the preset's -----------------------------------------------------------------

_AUTO = (224, 192)  # what --size auto is for the brain slices
_SIZED = frozenset({"brain-half", "brain-progressive"})  # whose size is that of the slices, halved
_LISTS = frozenset({"filters", "batches", "fade", "stable"})
_FEWEST = 8  # channels of a level finer than those of a preset, unless its own are fewer


@dataclass(frozen=True)
class Follows:
    """What a preset sets for one shape of pictures, and nobody has given: it is fitted to other shapes.

    `names` are those settings, `shape` is the size of the network that they are for, its start shape doubled
    `doublings` times.
    """

    names: frozenset[str] = frozenset()
    shape: Size = (1, 1)
    doublings: int = 0

    def at_picture(self, config: Config, picture: Size) -> Config:
        """--size for pictures of `picture`: theirs, halved until it has about as many pixels as `shape`."""
        if "size" not in self.names:
            return config
        while max(picture) > LARGEST:
            picture = -(-picture[0] // 2), -(-picture[1] // 2)
        size = smallest_size(picture)
        halvings = min(start_shape(size)[1] - 1, max(0, _finer(size, self.shape)))
        return replace(config, size=_shape((size[0] >> halvings, size[1] >> halvings)))

    def at_size(self, config: Config, size: Size, *, like: Sequence[int] = ()) -> Config:
        """The lists for a network of `size`, one entry a level; `like` are channels that its coarse levels have."""
        if not self.names:
            return config
        if "size" in self.names:
            config = replace(config, size=_shape(size))
        if "start" in self.names:
            config = replace(config, start=self._start(config.start, size))
        changed: dict[str, Any] = {}
        if "filters" in self.names and config.filters != "auto":
            levels = start_shape(size, config.start_for(size))[1] + 1
            channels = [int(part) for part in config.filters.split(",")]
            channels = _channels(channels, levels, finer=_finer(size, self.shape), like=like)
            changed["filters"] = ",".join(map(str, channels))
        for name in self.names & (_LISTS - {"filters"}):
            changed[name] = _lengthened(getattr(config, name), len(grown_sizes(config, size)))
        return replace(config, **changed)

    def _start(self, start: str, size: Size) -> str:
        """The preset's start shape, or one with as many levels; auto where `size` has neither."""
        if start == "auto":
            return start
        own = parse_size(start)
        for shape in (own, (size[0] >> self.doublings, size[1] >> self.doublings)):
            try:
                start_shape(size, shape)
            except SettingError:
                continue
            return start if shape == own else _shape(shape)
        return "auto"


NOTHING = Follows()


def follows(name: str, given: Collection[str]) -> Follows:
    """What the preset `name` sets for the shape of its pictures, but for what is `given`. Raises SettingError."""
    values = preset(name)
    bound = _LISTS | {"start"} | ({"size"} if name in _SIZED else set())
    shape = _AUTO if values["size"] == "auto" else parse_size(values["size"])
    start = parse_size(values["start"]) if "start" in values else None
    return Follows(frozenset(bound & values.keys() - set(given)), shape, start_shape(shape, start)[1])


def _finer(size: Size, other: Size) -> int:
    """How many levels `size` is finer than `other`, by pixels."""
    return round(math.log2(math.prod(size) / math.prod(other)) / 2)


def _channels(channels: list[int], levels: int, *, finer: int, like: Sequence[int]) -> list[int]:
    """A list for another number of levels, of which the finest is `finer` levels above the list's.

    Coarser levels than the list's have as many as its first, finer ones half as many as the one before.
    """
    if len(channels) != levels:
        coarser = [channels[0]] * levels
        least = min(_FEWEST, channels[-1])
        beyond = [max(least, channels[-1] >> more) for more in range(1, max(0, finer) + 1)]
        every = [*coarser, *channels, *beyond]
        channels = every[: len(every) + min(0, finer)][-levels:]
    return [*like[:levels], *(min(one, like[-1]) if like else one for one in channels[len(like) :])]


def _lengthened(text: str, count: int) -> str:
    """A list of `count` entries: after the first, which begins, the second is repeated or those next to it go."""
    parts = text.split(",")
    if len(parts) < 2 or len(parts) == count:
        return text
    repeated = [parts[1]] * max(0, count - len(parts))
    return ",".join([parts[0], *repeated, *parts[max(1, len(parts) - count + 1) :]])


def _shape(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
