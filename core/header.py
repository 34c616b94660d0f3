"""What a network file says of itself: the JSON in its header and the table of its tensors, both checked.

A file is data: what it claims is checked against what it holds before anything of the claimed size is allocated.
"""

from __future__ import annotations

import json
import math
import struct
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import strict, stylegan
from core.errors import CheckpointError, SettingError
from core.generator import (
    ARCHITECTURES,
    AnyDiscriminatorConfig,
    AnyGeneratorConfig,
    Discriminator,
    Generator,
)
from core.sizes import LARGEST

__all__ = ["ACCEPTED", "FORMAT", "KEY", "Header", "Opened", "checked", "configs", "read_about", "read_header"]

FORMAT = 1
KEY = "styloscope"  # of the one entry in the metadata
ACCEPTED = "a .safetensors file written by Styloscope (format 1) is accepted"
_MOST_HEADER = 1 << 20
_MOST_BYTES = 1 << 48
_MOST_ABOUT = 1 << 18  # half of it may be escaped once more, and the table of tensors stands beside it
_DEEPEST = 32
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_AGAIN = "copy it again or take an earlier one"


@dataclass(frozen=True)
class Opened:
    """A network file, opened. `about` is its header; `live` the trained weights, `generator` their average."""

    generator: Generator
    discriminator: Discriminator | None
    about: dict[str, Any]
    path: Path
    live: Generator | None = None

    @property
    def crop(self) -> tuple[int, int, int, int]:
        """(top, left, height, width) of what people are shown, in pixels of the finished network."""
        return tuple(self.about["picture"]["crop"])

    @property
    def grown(self) -> tuple[tuple[int, int], float] | None:
        """(size, alpha) to show of a network that was saved inside a fade; None: its full size."""
        found = self.about.get("grown")
        return None if found is None else (tuple(found["size"]), float(found["alpha"]))


@dataclass(frozen=True)
class Header:
    """What a file says of itself before any tensor is read: `about`, and name -> (dtype, shape) of each tensor."""

    about: dict[str, Any]
    tensors: dict[str, tuple[str, tuple[int, ...]]]


def read_header(path: str | Path) -> Header:
    """Read and check the header of a network file without reading a tensor. Raises CheckpointError."""
    path = Path(path)
    try:
        if not path.is_file():
            raise CheckpointError(f"there is no network at {path}; {ACCEPTED}")
        table, size = _table(path)
    except OSError as wrong:
        raise CheckpointError(f"{path} could not be read ({wrong.strerror or wrong}); {ACCEPTED}") from wrong
    metadata = table.pop("__metadata__", None)
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise CheckpointError(f"{path} is a file of another program; {ACCEPTED}")
    about = _json(path, text)
    if not isinstance(about, dict):
        raise CheckpointError(f"{path} has a damaged header; {ACCEPTED}")
    version = about.get("format")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise CheckpointError(f"{path} does not say its format; {ACCEPTED}")
    if version > FORMAT:
        found = str(version)[:20]
        raise CheckpointError(f"{path} has format {found}, newer than this program's {FORMAT}; update Styloscope")
    tensors = _tensors(path, table, size)
    _check_about(path, about)
    return Header(about, tensors)


def read_about(path: str | Path) -> dict[str, Any]:
    """Return the header's JSON: format, arch, config, training, picture, credit. Raises CheckpointError."""
    return read_header(path).about


def configs(path: Path, about: Mapping[str, Any]) -> tuple[AnyGeneratorConfig, AnyDiscriminatorConfig | None]:
    """Return the validated configurations that a header names. Raises CheckpointError."""
    values = dict(about["config"])
    nested = values.pop("discriminator", None)
    arch = ARCHITECTURES[about["arch"]]
    generator = _config(path, arch.generator, values)
    if nested is None:
        return generator, None
    discriminator = _config(path, arch.discriminator, nested)
    if (discriminator.size, discriminator.channels) != (generator.size, generator.channels):
        raise CheckpointError(f"{path} has a discriminator for other pictures than its generator's; {ACCEPTED}")
    return generator, discriminator


def checked(path: Path, about: Mapping[str, Any]) -> str:
    """The text of a header that `read_about` takes.

    Raises SettingError where `about` is no JSON or more than any reader takes, CheckpointError where a part is wrong.
    """
    text = _about_text(about)
    _check_about(path, json.loads(text))
    return text


def _about_text(about: Mapping[str, Any]) -> str:
    """The JSON of a header; SettingError where it is none, or more than any reader takes."""
    try:
        # A command line may hold bytes that are no text; they become question marks.
        text = json.dumps(about, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        json.loads(text, object_pairs_hook=strict.unrepeated)
    except (TypeError, ValueError, RecursionError) as wrong:
        raise SettingError("about", ", ".join(map(str, about)), f"JSON with finite numbers ({wrong})") from wrong
    if len(text) > _MOST_ABOUT or strict.depth(about) > _DEEPEST:
        allowed = f"at most {_MOST_ABOUT >> 10} KiB of JSON, nested at most {_DEEPEST} deep"
        raise SettingError("about", f"{len(text)} bytes", allowed)
    return text.decode("utf-8")


def _table(path: Path) -> tuple[dict[str, Any], int]:
    """The safetensors table of a file, and the number of bytes that follow it."""
    size = path.stat().st_size
    if size <= 8:
        raise CheckpointError(f"{path} is truncated: it has {size} bytes; {_AGAIN}")
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        text = file.read(min(length, size)) if length <= _MOST_HEADER else b""
    if not text.startswith(b"{"):
        raise CheckpointError(f"{path} is a file of another program; {ACCEPTED}")
    if len(text) < length:
        raise CheckpointError(f"{path} is truncated inside its header; {_AGAIN}")
    return _json(path, text), size - 8 - length


def _json(path: Path, text: str | bytes) -> Any:
    try:
        return strict.loads(text, deepest=_DEEPEST)
    except ValueError as wrong:
        raise CheckpointError(f"{path} has a damaged header; {ACCEPTED}") from wrong


def _tensors(path: Path, table: dict[str, Any], size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Check that every tensor of the table lies whole, in order and without gaps in the `size` bytes that are there."""
    damaged = CheckpointError(f"{path} has a damaged header; {ACCEPTED}")
    spans, tensors = [], {}
    for name, entry in table.items():
        match entry:
            case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]} if len(shape) <= 8:
                numbers = (*shape, begin, end)
            case _:
                raise damaged
        if dtype not in _BYTES or any(type(n) is not int or not 0 <= n <= _MOST_BYTES for n in numbers):
            raise damaged
        if math.prod(shape) * _BYTES[dtype] != end - begin:
            raise damaged
        spans.append((begin, end))
        tensors[name] = (dtype, tuple(shape))
    last = 0
    for begin, end in sorted(spans):
        if begin != last:
            raise damaged
        last = end
    if size < last:
        raise CheckpointError(f"{path} is truncated: {last - size} bytes are missing; {_AGAIN}")
    if size > last:
        raise damaged
    return tensors


def _check_about(path: Path, about: dict[str, Any]) -> None:
    """Check the parts of the header that everybody reads, and fill in those that may be missing."""
    arch = about.get("arch")
    if not isinstance(arch, str) or arch not in ARCHITECTURES:
        found = str(about.get("arch"))[:40]
        raise CheckpointError(f"{path} holds a network of kind {found!r}, which this version cannot build; {ACCEPTED}")
    for key, default in (("config", None), ("training", {}), ("picture", {}), ("credit", "")):
        value = about.setdefault(key, default)
        if not isinstance(value, dict if key != "credit" else str):
            raise CheckpointError(f"{path} has a damaged header: {key} is missing or of the wrong kind; {ACCEPTED}")
    generator, _ = configs(path, about)
    crop = about["picture"].setdefault("crop", [0, 0, *generator.size])
    whole = isinstance(crop, list) and len(crop) == 4 and all(type(n) is int for n in crop)
    if not whole or not _inside(crop, generator.size):
        raise CheckpointError(f"{path} has a damaged header: picture.crop {str(crop)[:60]} lies outside the picture")
    _check_grown(path, about.get("grown"), generator)


def _check_grown(path: Path, grown: Any, generator: AnyGeneratorConfig) -> None:
    """What a network shows while it fades: one of its sizes, and alpha."""
    match grown:
        case None:
            return
        case {"size": [int(height), int(width)], "alpha": int(alpha) | float(alpha)} if (
            isinstance(generator, stylegan.GeneratorConfig)
            and (height, width) in generator.level_sizes
            and 0 <= alpha <= 1
        ):
            return
    raise CheckpointError(
        f"{path} has a damaged header: grown {str(grown)[:60]} is not a size of this network and alpha"
    )


def _inside(crop: list[int], size: tuple[int, int]) -> bool:
    top, left, height, width = crop
    return top >= 0 and left >= 0 and height > 0 and width > 0 and top + height <= size[0] and left + width <= size[1]


# Beyond these no network of the field lies; they keep a lying header from making us build for hours.
_BOUNDS = {
    "z_dim": 1 << 14, "w_dim": 1 << 14, "num_classes": 1 << 16, "mapping_layers": 64, "map_dim": 1 << 14,
    "embed_dim": 1 << 14, "hidden_dim": 1 << 14,
    "group_size": 1 << 14, "std_channels": 1 << 10, "channels": 3, "size": LARGEST, "start": 9, "filters": 1 << 14,
}  # fmt: skip

# Worked out here and not while a file is read: annotations are text, which Python compiles to know what they mean.
_KINDS = {
    kind: typing.get_type_hints(kind)
    for arch in ARCHITECTURES.values()
    for kind in (arch.generator, arch.discriminator)
}


def _config(path: Path, kind: type, values: Any) -> Any:
    """Build a configuration from a header's JSON: known fields of the right kind within bounds, nothing else."""
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} has a damaged header: config is no table; {ACCEPTED}")
    kinds = _KINDS[kind]
    wrong = [
        repr(name[:40])
        for name, value in values.items()
        if name not in kinds or not _fits(kinds[name], value, _BOUNDS.get(name, 0))
    ]
    if wrong:
        raise CheckpointError(
            f"{path} has a config this version cannot build: {', '.join(sorted(wrong)[:10])}; {ACCEPTED}"
        )
    try:
        return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
    except (SettingError, TypeError) as reason:
        raise CheckpointError(f"{path} has a config that cannot be built: {reason}") from reason


def _fits(kind: Any, value: Any, most: int) -> bool:
    """Whether `value`, as JSON has it, is of the annotated `kind`; whole numbers from 0 to `most`, others below 1e9."""
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is types.UnionType:
        return any(_fits(part, value, most) for part in parts)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list) or len(value) > 64:
            return False
        if parts[-1] is ...:
            parts = parts[:1] * len(value)
        return len(parts) == len(value) and all(map(_fits, parts, value, [most] * len(value)))
    if kind is int:
        return type(value) is int and 0 <= value <= most
    if kind is float:
        return type(value) in (int, float) and abs(value) < 1e9
    return type(value) is kind
