"""Networks of ours for other programs: torch files of tables, with their names, for PyTorch's own reader of weights."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core import stylegan2
from core.errors import CheckpointError, SettingError
from core.files import writing
from core.foreign import nvidia_names, rosinality2
from core.foreign.filling import Piece, Plan
from core.foreign.nvidia_names import DEFAULT_FILTER
from core.header import Opened
from core.layers import is_finite

__all__ = ["PROGRAMS", "Written", "write_foreign"]

_START = (4, 4)
_LONG = 8  # taps from which on NVIDIA's layers keep a filter as one row
_USUAL_RATE = 0.01  # of the mapping in rosinality's program, unless it is told otherwise
_TAPS = 4  # of every filter in rosinality's program: its colours and its discriminator take no others
_LEVELS = {64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}  # channels there, times a multiplier; below 64 they are 512

State = dict[str, Tensor]


@dataclass(frozen=True)
class Written:
    """The networks that were written, by their keys in the file, and sentences on what is not there as it is here."""

    networks: list[str]
    notes: list[str] = field(default_factory=list)


@dataclass
class _Made:
    """What goes into the file: networks, what stands beside them, and notes."""

    networks: dict[str, State] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def write_foreign(path: str | Path, opened: Opened, program: str, *, dtype: torch.dtype = torch.float32) -> Written:
    """Write the networks of a StyleGAN2 file for another program, whole or not at all.

    `program` is a key of PROGRAMS. The file is a table of tables of tensors, of numbers and of text, which
    `torch.load(path, weights_only=True)` opens, and `core.load` too. The generator has to fit, to the last tensor; a
    discriminator that the program does not have is left out, with a note. Raises SettingError for another program,
    CheckpointError for a generator that the program cannot build or weights that are not finite as `dtype`,
    OutputError where `path` cannot be written.
    """
    if program not in PROGRAMS:
        raise SettingError("as", program, " or ".join(PROGRAMS))
    config = opened.generator.config
    if not isinstance(config, stylegan2.GeneratorConfig):
        raise CheckpointError(f"{opened.path} is a StyleGAN of 2019; only StyleGAN2 networks are written for others")
    if config.level_sizes[0] != _START:
        (height, width), (top, left) = config.size, config.level_sizes[0]
        raise CheckpointError(
            f"{opened.path} is {height}x{width} and starts at {top}x{left}, and other programs build only squares that "
            "start at 4x4, such as 256x256; train with such a --size for them"
        )
    made = _Made()
    PROGRAMS[program](opened, config, made)
    crop = opened.crop
    if crop != (0, 0, *config.size):
        made.notes.append(f"pictures are shown cut to {crop[2]}x{crop[3]} here; the other program shows them whole")
    if opened.about.get("credit"):
        made.beside["credit"] = opened.about["credit"]
    tables = {
        key: {name: _stored(path, f"{key}.{name}", tensor, dtype) for name, tensor in state.items()}
        for key, state in made.networks.items()
    }
    buffer = io.BytesIO()  # a full disk is an error of the file's, which torch's own writer would hide in another
    torch.save(tables | made.beside, buffer)
    with writing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
    return Written(list(tables), made.notes)


def _stored(path: str | Path, name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if name.endswith((".resample_filter", ".kernel")):
        dtype = torch.float32  # rounded they would be no filter any more, and they are small
    stored = tensor.detach().to("cpu", dtype, copy=True).contiguous()
    if not is_finite(stored):
        raise CheckpointError(f"{path} was not written: {name} is not finite as {dtype}")
    return stored


def _renamed(network: Any, plan: Plan, shaped: Callable[[str, Tensor], Tensor] = lambda _, tensor: tensor) -> State:
    """The tensors of a network of ours under the names that `plan` has for them, each first as `shaped` makes it."""
    state: State = {}
    for name, tensor in network.state_dict().items():
        piece = plan.get(name)
        if isinstance(piece, Piece):
            tensor = shaped(name, tensor.detach().cpu())
            state[piece.name] = tensor if piece.back is None else piece.back(tensor)
    return state


def _kernel(taps: tuple[float, ...], gain: float = 1.0) -> Tensor:
    one = torch.tensor(taps, dtype=torch.float32)
    square = torch.outer(one, one)
    return square / square.sum() * gain


# --- NVIDIA's names ----------------------------------------------------------------------------------------------


def _channels(filters: tuple[int, ...]) -> tuple[int, int] | None:
    """(base, maximum) where the levels from 4 on have min(base // side, maximum) channels; None where none do."""
    sides = [_START[0] << level for level in range(len(filters))]
    most = max(filters)
    pairs = list(zip(filters, sides, strict=True))
    lowest = max(few * side for few, side in pairs)
    highest = min(((few + 1) * side - 1 for few, side in pairs if few < most), default=lowest)
    return (lowest, most) if lowest <= highest else None


def _nvidia(opened: Opened, config: stylegan2.GeneratorConfig, made: _Made) -> None:
    found = _channels(config.filters)
    if found is None:
        raise CheckpointError(
            f"{opened.path} has the channels {', '.join(map(str, config.filters))}, and NVIDIA's program builds "
            "min(base / side, maximum) alone; train with such --filters for it"
        )
    plan = nvidia_names.named_generator(config)
    for key, network in (("G_ema", opened.generator), ("G", opened.live)):
        if network is not None:
            made.networks[key] = _renamed(network, plan) | _nvidia_filters(plan, config, "synthesis.")
    made.beside["G_kwargs"] = {
        "z_dim": config.z_dim,
        "c_dim": config.num_classes,
        "w_dim": config.w_dim,
        "img_resolution": config.size[0],
        "img_channels": config.channels,
        "mapping_kwargs": _mapping_kwargs(config),
        "synthesis_kwargs": {
            **_common_kwargs(config, found),
            "resample_filter": list(config.resample_filter),
            "use_noise": config.use_noise,
        },
    }
    if opened.discriminator is not None:
        _nvidia_discriminator(opened.discriminator, made)


def _nvidia_discriminator(discriminator: Any, made: _Made) -> None:
    config: stylegan2.DiscriminatorConfig = discriminator.config
    found = _channels(config.filters)
    if config.level_sizes[0] != _START or found is None:
        made.notes.append("the discriminator is left out: NVIDIA's program has none with its channels and sizes")
        return
    plan = nvidia_names.named_discriminator(config)
    made.networks["D"] = _renamed(discriminator, plan) | _nvidia_filters(plan, config, "")
    made.beside["D_kwargs"] = {
        "c_dim": config.num_classes,
        "img_resolution": config.size[0],
        "img_channels": config.channels,
        **_common_kwargs(config, found),
        "cmap_dim": config.map_dim,
        "block_kwargs": {"resample_filter": list(config.resample_filter)},
        "mapping_kwargs": _mapping_kwargs(config) if config.num_classes else {},
        "epilogue_kwargs": {"mbstd_group_size": config.group_size, "mbstd_num_channels": config.std_channels},
    }


def _common_kwargs(config: Any, channels: tuple[int, int]) -> dict[str, Any]:
    base, most = channels
    return {
        "architecture": config.architecture,
        "channel_base": base,
        "channel_max": most,
        "num_fp16_res": 0,
        "conv_clamp": config.conv_clamp,
    }


def _mapping_kwargs(config: Any) -> dict[str, Any]:
    return {
        "num_layers": config.mapping_layers,
        "lr_multiplier": config.mapping_lr,
        "embed_features": config.embed_dim,
        "layer_features": config.hidden_dim,
    }


def _nvidia_filters(plan: Plan, config: Any, before: str) -> State:
    """The filters that their layers keep: the network's own where it is applied and in blocks, else the usual one."""
    own, usual = (
        torch.tensor(taps, dtype=torch.float32) / sum(taps) if len(taps) >= _LONG else _kernel(taps)
        for taps in (config.resample_filter, DEFAULT_FILTER)
    )
    resamples = "conv0" if before else "conv1"  # what doubles in a generator, and halves in a discriminator
    state = {}
    for piece in plan.values():
        layer, _, leaf = piece.name.rpartition(".") if isinstance(piece, Piece) else ("", "", "")
        block, _, part = layer.removeprefix(before).partition(".")
        if leaf == "weight" and part in ("conv0", "conv1", "conv", "skip", "fromrgb"):
            state[f"{layer}.resample_filter"] = own if part in (resamples, "skip") else usual
            if before or block != "b4":
                state[f"{before}{block}.resample_filter"] = own
    return state


# --- rosinality's names ------------------------------------------------------------------------------------------


def _rosinality(opened: Opened, config: stylegan2.GeneratorConfig, made: _Made) -> None:
    wide = config.w_dim if config.hidden_dim is None or config.mapping_layers < 2 else config.hidden_dim
    behind = "" if wide == config.w_dim else f" behind layers of {wide}"
    for what, wanted in (
        (f"the {config.architecture} architecture", config.architecture == "skip"),
        (f"{config.num_classes} classes", not config.num_classes),
        (f"a filter of {len(config.resample_filter)} taps", len(config.resample_filter) <= _TAPS),
        (f"a z of {config.z_dim} and a w of {config.w_dim}{behind}", config.z_dim == wide == config.w_dim),
    ):
        if not wanted:
            raise CheckpointError(
                f"{opened.path} has {what}, and rosinality's program builds skip generators without classes alone, "
                "of at most 4 taps, whose z and w are equally wide; write it --as nvidia"
            )
    plan = rosinality2.named_generator(config)
    for key, network in (("g_ema", opened.generator), ("g", opened.live)):
        if network is not None:
            state = _renamed(network, plan, _as_rgb(config)) | _rosinality_kernels(config)
            made.networks[key] = state | ({} if config.use_noise else _silence(config))
    made.beside["latent_avg"] = opened.generator.w_avg.detach().cpu().float().clone()
    made.notes.append(_built(config))
    _note_clamp(config, made)
    if config.channels == 1:
        made.notes.append("that program has RGB alone; the pictures have three equal planes")
    if opened.discriminator is not None:
        _rosinality_discriminator(opened.discriminator, config, made)


def _as_rgb(config: stylegan2.GeneratorConfig) -> Callable[[str, Tensor], Tensor]:
    """A gray generator's colours in threes, and the mapping's weights for the one rate that the program has."""
    rate = config.mapping_lr / _USUAL_RATE

    def shaped(name: str, tensor: Tensor) -> Tensor:
        if config.channels == 1 and name.endswith(("torgb.conv.weight", "torgb.bias")):
            return tensor.repeat_interleave(3, dim=0)
        return tensor * rate if rate != 1 and name.startswith("mapping.layers.") else tensor

    return shaped


def _note_clamp(config: stylegan2.GeneratorConfig | stylegan2.DiscriminatorConfig, made: _Made) -> None:
    if config.conv_clamp is not None:
        made.notes.append(f"that program has no clamp; values beyond {config.conv_clamp:g} are cut off here")


def _silence(config: stylegan2.GeneratorConfig) -> State:
    """Noise of no strength, for layers that have to have one there."""
    state = {}
    for j, (height, width) in enumerate([size for size in config.level_sizes for _ in range(2)][1:]):
        state[f"noises.noise_{j}"] = torch.zeros(1, 1, height, width)
        state[f"convs.{j - 1}.noise.weight" if j else "conv1.noise.weight"] = torch.zeros(1)
    return state


def _rosinality_kernels(config: stylegan2.GeneratorConfig) -> State:
    doublings = range(len(config.filters) - 1)
    names = [f"convs.{2 * j}.conv.blur.kernel" for j in doublings] + [f"to_rgbs.{j}.upsample.kernel" for j in doublings]
    return dict.fromkeys(names, _kernel(_padded(config.resample_filter), 4.0))


def _padded(taps: tuple[float, ...]) -> tuple[float, ...]:
    """The same filter with four taps, in the place where that program's padding expects its middle."""
    before = (_TAPS + 1 - len(taps)) // 2
    return (*[0.0] * before, *taps, *[0.0] * (_TAPS - len(taps) - before))


def _built(config: stylegan2.GeneratorConfig) -> str:
    """How that program builds the generator."""
    sides = [_START[0] << level for level in range(len(config.filters))]
    multiplier = next(
        (m for m in (2, 1) if list(config.filters) == [_LEVELS.get(side, 512 / m) * m for side in sides]), None
    )
    words = [str(config.size[0]), str(config.w_dim), str(config.mapping_layers)]
    words += [f"channel_multiplier={multiplier or 2}"]
    line = f"it is built there as Generator({', '.join(words)})"
    if multiplier:
        return line
    table = ", ".join(f"{side}: {few}" for side, few in zip(sides, config.filters, strict=True))
    return f"{line} once its table of channels says {{{table}}}"


def _rosinality_discriminator(discriminator: Any, shown: stylegan2.GeneratorConfig, made: _Made) -> None:
    config: stylegan2.DiscriminatorConfig = discriminator.config
    known = (config.architecture, config.num_classes, config.group_size, config.std_channels) == ("resnet", 0, 4, 1)
    if not known or config.level_sizes[0] != _START or len(config.resample_filter) > _TAPS:
        words = "residual ones without classes alone, of at most 4 taps, with minibatch deviations of groups of 4"
        made.notes.append(f"the discriminator is left out: rosinality's program has {words}")
        return
    if config.conv_clamp != shown.conv_clamp:
        _note_clamp(config, made)
    if config.filters != shown.filters:
        made.notes.append(f"its discriminator has other channels: {', '.join(map(str, config.filters))} from 4x4 on")

    def shaped(name: str, tensor: Tensor) -> Tensor:
        # Three equal planes give three times the sum, and a layer divides by the root of its inputs.
        return tensor.repeat_interleave(3, dim=1) / 3**0.5 if name == "blocks.0.fromrgb.weight" else tensor

    plan = rosinality2.named_discriminator(config)
    state = _renamed(discriminator, plan, shaped) if config.channels == 1 else _renamed(discriminator, plan)
    kernel = _kernel(_padded(config.resample_filter))
    for j in range(1, len(config.filters)):
        state |= {f"convs.{j}.conv2.0.kernel": kernel, f"convs.{j}.skip.0.kernel": kernel}
    made.networks["d"] = state


# What `--as` names.
PROGRAMS: Mapping[str, Callable[[Opened, stylegan2.GeneratorConfig, _Made], None]] = {
    "nvidia": _nvidia,
    "rosinality": _rosinality,
}
