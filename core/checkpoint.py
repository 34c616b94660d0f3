"""One safetensors file <-> networks: tensors `g_ema.*` always, `g.*` and `d.*` where training can go on from it.

The header has one key, `styloscope`, with JSON: format, arch, config, training, picture, credit. `core/header.py`
reads and checks it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from core import foreign
from core.errors import CheckpointError
from core.files import writing
from core.generator import Discriminator, Generator, build_discriminator
from core.header import ACCEPTED, FORMAT, KEY, Header, Opened, checked, configs, read_header
from core.layers import is_finite

__all__ = ["load", "save", "sha256"]


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
    text = checked(path, header)
    tensors: dict[str, Tensor] = {}
    for prefix, network in (("g_ema", generator), ("g", live), ("d", discriminator)):
        if network is not None:
            for name, tensor in network.state_dict().items():
                stored = tensor.detach().to("cpu", dtype, copy=True).contiguous()
                if not is_finite(stored):
                    raise CheckpointError(f"{path} was not written: {prefix}.{name} is not finite as {dtype}")
                tensors[f"{prefix}.{name}"] = stored
    data = serialise(tensors, metadata={KEY: text})
    with writing(path) as temporary:
        temporary.write_bytes(data)


# --- reading -----------------------------------------------------------------------------------------------------


def load(path: str | Path, *, generator_only: bool = False) -> Opened:
    """Open a network file, ours or one that `core.foreign` reads; its networks come in float32, on the CPU, in
    evaluation mode.

    Raises CheckpointError that says whether the file is missing, truncated, of another program or of a newer format.
    """
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
        raise CheckpointError(f"{path} could not be read ({wrong}); {ACCEPTED}") from wrong
