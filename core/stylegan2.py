"""StyleGAN2: synthesis and discriminator (Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN").

Sizes need not be square: a network starts at any start shape and doubles. Levels are counted from the coarsest, 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import SettingError
from core.layers import (
    SLOPE,
    Conv,
    EqualLinear,
    MinibatchDeviation,
    ModulatedConv,
    bilinear,
    downsample,
    is_1331,
    laid_like,
    normals,
    taps,
    upsample,
    wide,
)
from core.mapping import Mapping, projected
from core.noise import Noise, checked_noise, resolved
from core.sizes import level_sizes, start_shape

__all__ = [
    "Discriminator",
    "DiscriminatorConfig",
    "Epilogue",
    "GeneratorConfig",
    "Noise",
    "Synthesis",
    "check_config",
    "checked_noise",
]


@dataclass(frozen=True)
class GeneratorConfig:
    """What builds a generator. Raises SettingError where it cannot be built."""

    size: tuple[int, int]  # height, width
    filters: tuple[int, ...]  # channels of each level, coarse to fine
    channels: int = 1  # of the pictures
    z_dim: int = 512
    w_dim: int = 512
    num_classes: int = 0
    start: tuple[int, int] | None = None  # None: the smallest start shape of size
    mapping_layers: int = 8
    mapping_lr: float = 0.01
    architecture: str = "skip"  # skip | resnet | orig
    resample_filter: tuple[float, ...] = (1, 3, 3, 1)
    conv_clamp: float | None = None
    use_noise: bool = True
    embed_dim: int | None = None  # width of the embedded class; None: w_dim
    hidden_dim: int | None = None  # width between the layers of the mapping; None: w_dim

    def __post_init__(self) -> None:
        _check_style(self)
        embedded = 0 if not self.num_classes else self.w_dim if self.embed_dim is None else self.embed_dim
        if not self.mapping_layers and self.z_dim + embedded != self.w_dim:
            allowed = "1 or more where z and the embedded class together are not as wide as w"
            raise SettingError("mapping_layers", 0, allowed)

    @property
    def level_sizes(self) -> list[tuple[int, int]]:
        """Height and width of each level, coarse to fine."""
        return level_sizes(*start_shape(self.size, self.start))


@dataclass(frozen=True)
class DiscriminatorConfig:
    """What builds a discriminator. Raises SettingError where it cannot be built."""

    size: tuple[int, int]
    filters: tuple[int, ...]
    channels: int = 1
    num_classes: int = 0
    start: tuple[int, int] | None = None
    architecture: str = "resnet"  # resnet | skip | orig
    resample_filter: tuple[float, ...] = (1, 3, 3, 1)
    conv_clamp: float | None = None
    group_size: int | None = 4  # of the minibatch deviation; None: the whole batch
    std_channels: int = 1  # of the minibatch deviation; 0 leaves it out
    map_dim: int | None = None  # width of the class projection; None: channels of the coarsest level
    mapping_layers: int = 8
    mapping_lr: float = 0.01
    embed_dim: int | None = None  # width of the embedded class; None: map_dim
    hidden_dim: int | None = None  # width between the layers of the mapping; None: map_dim

    def __post_init__(self) -> None:
        _check_style(self)
        if self.std_channels and self.filters[0] % self.std_channels:
            raise SettingError("std_channels", self.std_channels, f"0 or a divisor of {self.filters[0]} channels")
        if not self.mapping_layers and self.embed_dim not in (None, self.map_dim or self.filters[0]):
            raise SettingError("mapping_layers", 0, "1 or more where the embedded class is not as wide as map_dim")

    @property
    def level_sizes(self) -> list[tuple[int, int]]:
        """Height and width of each level, coarse to fine."""
        return level_sizes(*start_shape(self.size, self.start))


def check_config(config: Any, *, fewest: int = 1) -> None:
    """Check what the networks of both architectures have in common; `fewest` doublings. Raises SettingError."""
    _, doublings = start_shape(config.size, config.start, fewest=fewest)
    if len(config.filters) != doublings + 1 or min(config.filters) < 1:
        given = ", ".join(map(str, config.filters))
        raise SettingError("filters", given, f"one positive number for each of the {doublings + 1} levels")
    if config.channels not in (1, 3):
        raise SettingError("channels", config.channels, "1 (gray) or 3 (RGB)")
    for name in ("num_classes", "mapping_layers", "std_channels"):
        if getattr(config, name, 0) < 0:
            raise SettingError(name, getattr(config, name), "0 or more")
    for name in ("z_dim", "w_dim", "map_dim", "embed_dim", "hidden_dim", "group_size", "mapping_lr", "conv_clamp"):
        value = getattr(config, name, None)
        if value is not None and not 0 < value < math.inf:
            raise SettingError(name, value, "more than 0, and finite")


def _check_style(config: GeneratorConfig | DiscriminatorConfig) -> None:
    check_config(config)
    if config.architecture not in ("skip", "resnet", "orig"):
        raise SettingError("architecture", config.architecture, "skip, resnet or orig")
    if not 1 <= len(config.resample_filter) <= 64 or not math.isfinite(sum(config.resample_filter)):
        raise SettingError("resample_filter", config.resample_filter, "1 to 64 finite taps")
    if abs(sum(config.resample_filter)) <= 1e-6 * sum(map(abs, config.resample_filter)):
        raise SettingError("resample_filter", config.resample_filter, "taps that do not sum to zero")


# --- synthesis ---------------------------------------------------------------------------------------------------


class StyledConv(nn.Module):
    """Modulated convolution, noise, bias, sqrt(2) lrelu, gain, clamp (Karras et al. 2020, figure 2d)."""

    noise: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        size: tuple[int, int],
        config: GeneratorConfig,
        up: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, w_dim=config.w_dim, up=up, filter=config.resample_filter)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.size = size
        self.gain = gain
        self.clamp = config.conv_clamp
        self.use_noise = config.use_noise
        if config.use_noise:
            self.strength = nn.Parameter(torch.zeros(()))
            self.register_buffer("noise", normals(*size))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """x [N, n_in, h, w], w [N, w_dim], noise [H, W] or [N, 1, H, W] or None -> [N, n_out, H, W]."""
        y, demodulation = self.conv(x, w)
        assert demodulation is not None
        # sqrt(2) and gain go through the activation, which is positively homogeneous, into what is small.
        gain = math.sqrt(2) * self.gain
        shift = (self.bias * gain).to(y.dtype)[:, None, None]
        scale = (demodulation * gain).to(y.dtype)[:, :, None, None]
        if noise is not None and self.use_noise:
            # Not noise + bias first: that sum is as large as y, and not laid out in memory as y is.
            y = torch.addcmul((noise * (self.strength * gain)).to(y.dtype), y, scale) + shift
        else:
            y = torch.addcmul(shift, y, scale)
        y = F.leaky_relu(y, SLOPE)
        return y if self.clamp is None else y.clamp(-self.clamp * self.gain, self.clamp * self.gain)


class ToRGB(nn.Module):
    """A modulated 1x1 convolution without demodulation, to the channels of the picture."""

    def __init__(self, inputs: int, config: GeneratorConfig) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, config.channels, 1, w_dim=config.w_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(config.channels))
        self.clamp = config.conv_clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """[N, C, H, W], [N, w_dim] -> [N, channels, H, W] in float32 (float64 where the network is)."""
        y = wide(self.conv(x, w)[0]) + self.bias[:, None, None]
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)


class SynthesisBlock(nn.Module):
    """One level: [conv0 that doubles the size,] conv1[, toRGB][, skip]."""

    filter: Tensor

    def __init__(self, level: int, config: GeneratorConfig) -> None:
        super().__init__()
        size = config.level_sizes[level]
        outputs, last = config.filters[level], level == len(config.filters) - 1
        self.residual = config.architecture == "resnet" and level > 0
        if level:
            inputs = config.filters[level - 1]
            self.conv0 = StyledConv(inputs, outputs, size=size, config=config, up=True)
            if self.residual:
                self.skip = Conv(
                    inputs,
                    outputs,
                    1,
                    resample="up",
                    filter=config.resample_filter,
                    bias=False,
                    activate=False,
                    gain=math.sqrt(0.5),
                )
        else:
            self.const = nn.Parameter(normals(outputs, *size))
        gain = math.sqrt(0.5) if self.residual else 1.0
        self.conv1 = StyledConv(outputs, outputs, size=size, config=config, gain=gain)
        self.torgb = ToRGB(outputs, config) if last or config.architecture == "skip" else None
        self.register_buffer("filter", taps(config.resample_filter), persistent=False)
        self.plain = is_1331(config.resample_filter)
        self.level = level

    def doubled(self, img: Tensor) -> Tensor:
        """The running picture at twice its size."""
        return bilinear(img) if self.plain else upsample(img, self.filter)

    def convs(self) -> list[StyledConv]:
        """The convolutions in the order in which they run."""
        return [self.conv0, self.conv1] if self.level else [self.conv1]

    def forward(
        self, x: Tensor | None, img: Tensor | None, ws: Sequence[Tensor], noise: Sequence[Tensor | None]
    ) -> tuple[Tensor, Tensor | None]:
        """`ws` one w for each convolution and one for toRGB, `noise` one map for each convolution -> (x, img)."""
        if x is None:
            x = self.const.expand(len(ws[0]), -1, -1, -1)
            x = self.conv1(x, ws[0], noise[0])
        elif self.residual:
            y = self.skip(x)
            x = self.conv1(self.conv0(x, ws[0], noise[0]), ws[1], noise[1])
            x = y + x
        else:
            x = self.conv1(self.conv0(x, ws[0], noise[0]), ws[1], noise[1])
        if img is not None:
            img = self.doubled(img)
        if self.torgb is not None:
            rgb = self.torgb(x, ws[-1])
            img = rgb if img is None else img + rgb
        return x, img


class Synthesis(nn.Module):
    """The synthesis network g: ws -> pictures."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(SynthesisBlock(level, config) for level in range(len(config.filters)))

    @property
    def num_ws(self) -> int:
        """2 (n + 1) for n doublings, whatever the architecture."""
        return 2 * len(self.blocks)

    @property
    def noise_shapes(self) -> list[tuple[int, int]]:
        """Height and width of each noise map, coarse to fine; empty where the network has none."""
        return [conv.size for conv in self._convs()] if self.config.use_noise else []

    def _convs(self) -> list[StyledConv]:
        return [conv for block in self.blocks for conv in block.convs()]  # type: ignore[operator]

    def noise_maps(self, noise: Noise, count: int, like: Tensor) -> list[Tensor | None]:
        """Resolve the word for noise into one map a convolution, each [H, W] or [count, 1, H, W], or None.

        "const" the network's own maps, "none" nothing, "random" fresh normals for each picture, an integer the
        maps of that seed, a list those arrays. Raises SettingError for anything else.
        """
        convs = self._convs()
        noise = checked_noise(noise)
        if not self.config.use_noise:
            return [None] * len(convs)
        if isinstance(noise, list) and len(noise) != len(convs):
            raise SettingError("noise", f"{len(noise)} maps", f"this network has {len(convs)} noise maps")
        return resolved(noise, self.noise_shapes, [conv.noise for conv in convs], count=count, like=like)

    def level(self, size: tuple[int, int] | None, alpha: float) -> int:
        """The finest level, the only one that can be asked for. Raises SettingError for any other size or alpha."""
        if size is not None and tuple(size) != tuple(self.config.size):
            raise SettingError("size", f"{size[0]}x{size[1]}", "a StyleGAN2 does not grow; leave it out")
        if alpha != 1:
            raise SettingError("alpha", alpha, "a StyleGAN2 does not grow; leave it at 1")
        return len(self.blocks) - 1

    def forward(
        self, ws: Tensor, noise: Noise = "const", size: tuple[int, int] | None = None, alpha: float = 1.0
    ) -> Tensor:
        """ws [N, num_ws, w_dim] -> [N, channels, H, W], about -1 .. 1.

        `size` and `alpha` are for networks that grow; here only the finished size is known. Raises
        ValueError for a ws of another shape, SettingError for noise, size and alpha.
        """
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.config.w_dim):
            raise ValueError(f"ws is [N, {self.num_ws}, {self.config.w_dim}], not {list(ws.shape)}")
        self.level(size, alpha)
        maps = iter(self.noise_maps(noise, len(ws), ws))
        rows = ws.unbind(dim=1)
        x: Tensor | None = None
        img: Tensor | None = None
        first = 0
        for block in self.blocks:
            used = len(block.convs())  # type: ignore[operator]
            # toRGB shares its w with conv0 of the next block: the last row of this slice is the first of the next.
            x, img = block(x, img, rows[first : first + used + 1], [next(maps) for _ in range(used)])
            first += used
        assert img is not None
        return img


# --- discriminator -----------------------------------------------------------------------------------------------


class DiscriminatorBlock(nn.Module):
    """One level of the discriminator: [fromRGB,] conv0, conv1 that halves the size[, skip]."""

    filter: Tensor

    def __init__(self, level: int, config: DiscriminatorConfig) -> None:
        super().__init__()
        inputs, outputs = config.filters[level], config.filters[level - 1]
        first = level == len(config.filters) - 1
        clamp, filter = config.conv_clamp, config.resample_filter
        self.architecture = config.architecture
        self.residual = config.architecture == "resnet"
        gain = math.sqrt(0.5) if self.residual else 1.0
        has_rgb = first or config.architecture == "skip"
        self.fromrgb = Conv(config.channels, inputs, 1, clamp=clamp) if has_rgb else None
        self.conv0 = Conv(inputs, inputs, 3, clamp=clamp)
        self.conv1 = Conv(inputs, outputs, 3, resample="down", filter=filter, gain=gain, clamp=clamp)
        if self.residual:
            self.skip = Conv(
                inputs, outputs, 1, resample="down", filter=filter, bias=False, activate=False, gain=math.sqrt(0.5)
            )
        self.register_buffer("filter", taps(filter), persistent=False)

    def forward(self, x: Tensor | None, img: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(features, picture) at this level -> the same at half the size."""
        if self.fromrgb is not None:
            assert img is not None
            rgb = laid_like(self.fromrgb(img), self.conv0.weight)
            x = rgb if x is None else x + rgb
            img = downsample(img, self.filter) if self.architecture == "skip" else None
        assert x is not None
        if self.residual:
            y = self.skip(x)
            return y + self.conv1(self.conv0(x)), img
        return self.conv1(self.conv0(x)), img


class Epilogue(nn.Module):
    """The coarsest level: minibatch deviation, a convolution, two linear layers."""

    def __init__(
        self,
        width: int,
        size: tuple[int, int],
        outputs: int,
        *,
        group_size: int | None,
        std_channels: int = 1,
        clamp: float | None = None,
        rgb: int = 0,
    ) -> None:
        """`width` channels of `size` (height, width); `rgb` channels of a picture that is looked at here, too."""
        super().__init__()
        self.fromrgb = Conv(rgb, width, 1) if rgb else None
        self.deviation = MinibatchDeviation(group_size, std_channels) if std_channels else nn.Identity()
        self.conv = Conv(width + std_channels, width, 3, clamp=clamp)
        self.linear = EqualLinear(width * size[0] * size[1], width, activate=True)
        self.out = EqualLinear(width, outputs)

    def forward(self, x: Tensor, img: Tensor | None) -> Tensor:
        """[N, C, h, w] -> [N, outputs]."""
        if self.fromrgb is not None:
            assert img is not None
            x = x + self.fromrgb(img)
        x = self.conv(self.deviation(x))
        return self.out(self.linear(x.flatten(1)))


class Discriminator(nn.Module):
    """Pictures -> logits, one each; with classes by projection (Miyato and Koyama 2018)."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        levels = range(len(config.filters) - 1, 0, -1)
        self.blocks = nn.ModuleList(DiscriminatorBlock(level, config) for level in levels)
        map_dim = config.filters[0] if config.map_dim is None else config.map_dim
        self.mapping = (
            Mapping(
                0,
                map_dim,
                config.num_classes,
                layers=config.mapping_layers,
                lr=config.mapping_lr,
                embed=config.embed_dim,
                hidden=config.hidden_dim,
            )
            if config.num_classes
            else None
        )
        self.epilogue = Epilogue(
            config.filters[0],
            config.level_sizes[0],
            map_dim if config.num_classes else 1,
            group_size=config.group_size,
            std_channels=config.std_channels,
            clamp=config.conv_clamp,
            rgb=config.channels if config.architecture == "skip" else 0,
        )

    def forward(self, img: Tensor, label: Tensor | None = None, alpha: float = 1.0) -> Tensor:
        """img [N, channels, H, W] in -1 .. 1, label as for the mapping -> logits [N].

        `alpha` is for networks that grow. Raises SettingError for another alpha, ValueError for another shape.
        """
        config = self.config
        if tuple(img.shape[1:]) != (config.channels, *config.size):
            wanted = ", ".join(map(str, (config.channels, *config.size)))
            raise ValueError(f"pictures are [N, {wanted}], not {list(img.shape)}")
        if alpha != 1:
            raise SettingError("alpha", alpha, "a StyleGAN2 does not grow; leave it at 1")
        x: Tensor | None = None
        rest: Tensor | None = img
        for block in self.blocks:
            x, rest = block(x, rest)
        assert x is not None
        return projected(self.epilogue(x, rest), self.mapping, label)
