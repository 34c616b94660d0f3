"""One safetensors file <-> networks: tensors `g_ema.*` always, `g.*` and `d.*` where training can go on from it.

The header has one key, `styloscope`, with JSON: format, arch, config, training, picture, credit. A file is data: what
it claims is checked against what it holds before anything of the claimed size is allocated.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import struct
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from core import strict, stylegan
from core.errors import CheckpointError, SettingError
from core.files import writing
from core.generator import (
    ARCHITECTURES,
    AnyDiscriminatorConfig,
    AnyGeneratorConfig,
    Discriminator,
    Generator,
    build_discriminator,
)
from core.layers import is_finite
from core.sizes import LARGEST

__all__ = ["FORMAT", "Header", "Opened", "load", "read_about", "read_header", "save", "sha256"]

FORMAT = 1
_KEY = "styloscope"
_MOST_HEADER = 1 << 20
_MOST_BYTES = 1 << 48
_MOST_ABOUT = 1 << 18  # half of it may be escaped once more, and the table of tensors stands beside it
_DEEPEST = 32
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_ACCEPTED = "a .safetensors file written by Styloscope (format 1) is accepted"
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


# --- writing -----------------------------------------------------------------------------------------------------


def save(
    path: str | Path,
    generator: Generator,
    discriminator: Discriminator | None = None,
    about: Mapping[str, Any] | None = None,
    *,
    live: Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write one network file, whole or not at all.

    `about` may hold training, picture and credit, and whatever else is JSON, which is kept as it is; format, arch and
    config are taken from the networks. `dtype` float32 or float16 is that of the stored tensors. Raises OutputError
    where `path` cannot be written, SettingError for an `about` that is no JSON or too large, and CheckpointError where
    the file could not be opened again: a crop outside the picture, weights that are not finite.
    """
    path = Path(path)
    about = about or {}
    config = dataclasses.asdict(generator.config)
    config["discriminator"] = None if discriminator is None else dataclasses.asdict(discriminator.config)
    header = {
        **about,
        "format": FORMAT,
        "arch": generator.arch,
        "config": config,
        "training": about.get("training") or {},
        "picture": about.get("picture") or {"crop": [0, 0, *generator.size]},
        "credit": about.get("credit") or "",
    }
    text = _about_text(header)
    _check_about(path, json.loads(text))
    tensors: dict[str, Tensor] = {}
    for prefix, network in (("g_ema", generator), ("g", live), ("d", discriminator)):
        if network is not None:
            for name, tensor in network.state_dict().items():
                stored = tensor.detach().to("cpu", dtype, copy=True).contiguous()
                if not is_finite(stored):
                    raise CheckpointError(f"{path} was not written: {prefix}.{name} is not finite as {dtype}")
                tensors[f"{prefix}.{name}"] = stored
    data = serialise(tensors, metadata={_KEY: text})
    with writing(path) as temporary:
        temporary.write_bytes(data)


def _about_text(about: Mapping[str, Any]) -> str:
    """The header's JSON; SettingError where it is none, or more than any reader takes."""
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


# --- reading -----------------------------------------------------------------------------------------------------


def read_header(path: str | Path) -> Header:
    """Read and check the header of a network file without reading a tensor. Raises CheckpointError."""
    path = Path(path)
    try:
        if not path.is_file():
            raise CheckpointError(f"there is no network at {path}; {_ACCEPTED}")
        table, size = _table(path)
    except OSError as wrong:
        raise CheckpointError(f"{path} could not be read ({wrong.strerror or wrong}); {_ACCEPTED}") from wrong
    metadata = table.pop("__metadata__", None)
    text = metadata.get(_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise CheckpointError(f"{path} is a file of another program; {_ACCEPTED}")
    about = _json(path, text)
    if not isinstance(about, dict):
        raise CheckpointError(f"{path} has a damaged header; {_ACCEPTED}")
    version = about.get("format")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise CheckpointError(f"{path} does not say its format; {_ACCEPTED}")
    if version > FORMAT:
        found = str(version)[:20]
        raise CheckpointError(f"{path} has format {found}, newer than this program's {FORMAT}; update Styloscope")
    tensors = _tensors(path, table, size)
    _check_about(path, about)
    return Header(about, tensors)


def read_about(path: str | Path) -> dict[str, Any]:
    """Return the header's JSON: format, arch, config, training, picture, credit. Raises CheckpointError."""
    return read_header(path).about


def load(path: str | Path, *, generator_only: bool = False) -> Opened:
    """Open a network file, ours or one that `core.foreign` reads; its networks come in float32, on the CPU, in
    evaluation mode.

    Raises CheckpointError that says whether the file is missing, truncated, of another program or of a newer format.
    """
    from core import foreign  # not above: core.foreign imports Opened from here

    path = Path(path)
    if foreign.recognise(path) is not None:
        return foreign.open_foreign(path, generator_only=generator_only)
    header = read_header(path)
    generator_config, discriminator_config = configs(path, header.about)
    has = {name.split(".", 1)[0] for name in header.tensors}
    parts: dict[str, nn.Module] = {}
    with torch.device("meta"):
        parts["g_ema"] = Generator(generator_config)
        if not generator_only and "g" in has:
            parts["g"] = Generator(generator_config)
        if not generator_only and "d" in has and discriminator_config is not None:
            parts["d"] = build_discriminator(discriminator_config)
    _check_tensors(path, header, parts, whole=not generator_only)
    _fill(path, parts)
    for network in parts.values():
        network.eval().requires_grad_(False)
    return Opened(parts["g_ema"], parts.get("d"), header.about, path, parts.get("g"))  # type: ignore[arg-type]


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits; recipes carry the first 12."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        raise CheckpointError(f"{path} has a discriminator for other pictures than its generator's; {_ACCEPTED}")
    return generator, discriminator


def _table(path: Path) -> tuple[dict[str, Any], int]:
    """The safetensors table of a file, and the number of bytes that follow it."""
    size = path.stat().st_size
    if size <= 8:
        raise CheckpointError(f"{path} is truncated: it has {size} bytes; {_AGAIN}")
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        text = file.read(min(length, size)) if length <= _MOST_HEADER else b""
    if not text.startswith(b"{"):
        raise CheckpointError(f"{path} is a file of another program; {_ACCEPTED}")
    if len(text) < length:
        raise CheckpointError(f"{path} is truncated inside its header; {_AGAIN}")
    return _json(path, text), size - 8 - length


def _json(path: Path, text: str | bytes) -> Any:
    try:
        return strict.loads(text, deepest=_DEEPEST)
    except ValueError as wrong:
        raise CheckpointError(f"{path} has a damaged header; {_ACCEPTED}") from wrong


def _tensors(path: Path, table: dict[str, Any], size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Check that every tensor of the table lies whole, in order and without gaps in the `size` bytes that are there."""
    damaged = CheckpointError(f"{path} has a damaged header; {_ACCEPTED}")
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
        raise CheckpointError(f"{path} holds a network of kind {found!r}, which this version cannot build")
    for key, default in (("config", None), ("training", {}), ("picture", {}), ("credit", "")):
        value = about.setdefault(key, default)
        if not isinstance(value, dict if key != "credit" else str):
            raise CheckpointError(f"{path} has a damaged header: {key} is missing or of the wrong kind; {_ACCEPTED}")
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
        raise CheckpointError(f"{path} has a damaged header: config is no table; {_ACCEPTED}")
    kinds = _KINDS[kind]
    wrong = [
        repr(name[:40])
        for name, value in values.items()
        if name not in kinds or not _fits(kinds[name], value, _BOUNDS.get(name, 0))
    ]
    if wrong:
        raise CheckpointError(f"{path} has a config this version cannot build: {', '.join(sorted(wrong)[:10])}")
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


def _check_tensors(path: Path, header: Header, parts: dict[str, nn.Module], *, whole: bool) -> None:
    """Every tensor that the networks need is there in its shape, and nothing that belongs to nothing."""
    wanted = {
        f"{prefix}.{name}": tuple(tensor.shape)
        for prefix, network in parts.items()
        for name, tensor in network.state_dict().items()
    }
    problems = [f"{name} missing" for name in wanted if name not in header.tensors]
    for name, (_, shape) in header.tensors.items():
        if name not in wanted:
            if whole or name.startswith("g_ema."):
                problems.append(f"{name[:80]!r} unknown")
        elif shape != wanted[name]:
            problems.append(f"{name} is {list(shape)} instead of {list(wanted[name])}")
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise CheckpointError(f"{path} does not hold what its header says: {'; '.join(problems[:5])}{more}")


def _fill(path: Path, parts: dict[str, nn.Module]) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            for prefix, network in parts.items():
                state = {
                    name: file.get_tensor(f"{prefix}.{name}").to(torch.float32, copy=True)
                    for name in network.state_dict()
                }
                broken = next((name for name, tensor in state.items() if not is_finite(tensor)), None)
                if broken is not None:
                    raise CheckpointError(f"{path} is not finite in {prefix}.{broken}; take an earlier one")
                network.load_state_dict(state, assign=True)
    except (SafetensorError, OSError) as wrong:
        raise CheckpointError(f"{path} could not be read ({wrong}); {_ACCEPTED}") from wrong
