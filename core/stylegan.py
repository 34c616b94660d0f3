"""StyleGAN: synthesis with AdaIN, and a discriminator; both grow (Karras et al. 2019; growth: Karras et al. 2018).

Growth is an argument: every size that the network passes through can be asked for, its newest level blended in by
alpha. Sizes need not be square. Levels are counted from the coarsest, 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.adain import adain
from core.errors import SettingError
from core.layers import SLOPE, Conv, EqualLinear, dense, fir, laid_like, normals, taps, wide
from core.mapping import Mapping, projected
from core.noise import Noise, checked_noise, resolved
from core.sizes import level_sizes, start_shape
from core.stylegan2 import Epilogue, check_config

__all__ = ["Discriminator", "DiscriminatorConfig", "GeneratorConfig", "Synthesis", "at_size", "level_of"]

Size = tuple[int, int]
_NOISE = ("layer", "level")


@dataclass(frozen=True)
class GeneratorConfig:
    """What builds a generator. Raises SettingError where it cannot be built."""

    size: tuple[int, int]  # height, width, full-grown
    filters: tuple[int, ...]  # channels of each level, coarse to fine
    channels: int = 1  # of the pictures
    z_dim: int = 512
    w_dim: int = 512
    num_classes: int = 0
    start: tuple[int, int] | None = None  # None: the smallest start shape of size
    mapping_layers: int = 8
    mapping_lr: float = 0.01
    noise: str = "layer"  # a map for each layer, kept in the file; level: one for both layers of a level, none kept
    blur_bias: bool = False  # whether the bias of a doubling convolution is blurred with its features

    def __post_init__(self) -> None:
        check_config(self, fewest=0)
        if self.noise not in _NOISE:
            raise SettingError("noise", self.noise, " or ".join(_NOISE))
        if not self.mapping_layers and (self.num_classes or self.z_dim != self.w_dim):
            raise SettingError("mapping_layers", 0, "1 or more where there are classes or z_dim is not w_dim")

    @property
    def level_sizes(self) -> list[tuple[int, int]]:
        """Height and width of each level, coarse to fine."""
        return level_sizes(*start_shape(self.size, self.start, fewest=0))


@dataclass(frozen=True)
class DiscriminatorConfig:
    """What builds a discriminator. Raises SettingError where it cannot be built."""

    size: tuple[int, int]
    filters: tuple[int, ...]
    channels: int = 1
    num_classes: int = 0
    start: tuple[int, int] | None = None
    group_size: int | None = 4  # of the minibatch deviation; None: the whole batch
    map_dim: int | None = None  # width of the class projection; None: channels of the coarsest level
    mapping_layers: int = 8
    mapping_lr: float = 0.01
    rgb_activation: bool = True  # whether what comes from the picture goes through the activation
    widen_first: bool = False  # whether a block's first convolution, not its second, changes the number of channels

    def __post_init__(self) -> None:
        check_config(self, fewest=0)

    @property
    def level_sizes(self) -> list[tuple[int, int]]:
        """Height and width of each level, coarse to fine."""
        return level_sizes(*start_shape(self.size, self.start, fewest=0))


def level_of(size: Size, sizes: Sequence[Size]) -> int:
    """The level that has `size`. Raises SettingError for a size that the network does not pass through."""
    if tuple(size) not in sizes:
        known = ", ".join(f"{h}x{w}" for h, w in sizes)
        raise SettingError("size", "x".join(map(str, size)), f"this network grows through {known}")
    return sizes.index(tuple(size))


def _checked_alpha(alpha: float) -> float:
    if isinstance(alpha, bool) or not 0 <= alpha <= 1:  # also nan
        raise SettingError("alpha", alpha, "from 0, the smaller size enlarged, to 1, the size itself")
    return float(alpha)


# --- resampling --------------------------------------------------------------------------------------------------


class _Blur(nn.Module):
    """The two filters of this network: [1, 2, 1], and the box [1, 1] of nearest neighbours and of averages."""

    binomial: Tensor
    box: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("binomial", taps((1, 2, 1)), persistent=False)
        self.register_buffer("box", taps((1, 1)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[1, 2, 1] / 4 along both axes, zeros around: [N, C, H, W] -> the same."""
        return fir(x, self.binomial, pad=(1, 1))

    def doubled(self, x: Tensor, weight: Tensor) -> Tensor:
        """Nearest neighbours to twice the size, then a 3 x 3 convolution: x [N, I, H, W] -> [N, O, 2 H, 2 W].

        Nearest neighbours are zeros between the pixels under a box, and box and convolution change places: a
        transposed convolution at a quarter of the products.
        """
        y = F.conv_transpose2d(x, dense(weight.flip(2, 3).transpose(0, 1)), stride=2)
        return fir(y, self.box, pad=(0, 0), gain=4)

    def halved(self, x: Tensor, weight: Tensor) -> Tensor:
        """A 3 x 3 convolution, then averages of 2 x 2: [N, I, H, W] -> [N, O, H / 2, W / 2]; places changed alike."""
        return F.conv2d(fir(x, self.box, pad=(1, 1)), weight, stride=2)


def _nearest(img: Tensor) -> Tensor:
    return F.interpolate(img, scale_factor=2, mode="nearest")


# --- synthesis ---------------------------------------------------------------------------------------------------


class StyledLayer(nn.Module):
    """[Convolution, blurred where it doubles,] noise, bias, lrelu, AdaIN (Karras et al. 2019, figure 1b).

    The coarsest layer has no convolution (`weight` is None): it takes the learned constant.
    """

    noise: Tensor

    def __init__(
        self, inputs: int | None, outputs: int, *, size: Size, config: GeneratorConfig, up: bool = False
    ) -> None:
        super().__init__()
        self.weight = None if inputs is None else nn.Parameter(normals(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.strength = nn.Parameter(torch.zeros(outputs))
        self.affine = Affine(config.w_dim, outputs)
        if config.noise == "layer":
            self.register_buffer("noise", normals(*size))
        self.blur = _Blur() if up else None
        self.blur_bias = config.blur_bias
        self.size = size

    def convolved(self, x: Tensor) -> Tensor:
        """What noise is added to: [N, n_in, h, w] -> [N, n_out, H, W], the bias included."""
        bias = self.bias.to(x.dtype)[:, None, None]
        if self.weight is None:
            return x + bias
        # He's initialisation at run time: this architecture has no sqrt(2) in its activation.
        weight = self.weight * math.sqrt(2 / self.weight[0].numel())
        x = laid_like(x, self.weight)
        if self.blur is None:
            return F.conv2d(x, weight, self.bias, padding=1)
        y = self.blur.doubled(x, weight)
        bias = bias.to(y.dtype)
        return self.blur(y + bias) if self.blur_bias else self.blur(y) + bias

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """x [N, n_in, h, w], w [N, w_dim], noise [H, W] or [N, 1, H, W] or None -> [N, n_out, H, W]."""
        y = self.convolved(x)
        if noise is not None:
            y = torch.addcmul(y, noise.to(y.dtype), self.strength.to(y.dtype)[:, None, None])
        return adain(F.leaky_relu(y, SLOPE), *self.affine(w))


class Affine(EqualLinear):
    """The A of figure 1b: w -> gamma, which begins around 1, and beta, around 0."""

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__(w_dim, 2 * channels)
        with torch.no_grad():
            self.bias[:channels] = 1

    def forward(self, w: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """[N, w_dim] -> gamma and beta, [N, channels] each."""
        gamma, beta = super().forward(w).chunk(2, dim=1)
        return gamma, beta


class SynthesisBlock(nn.Module):
    """One level: the learned constant or a convolution that doubles the size, then a second convolution."""

    def __init__(self, level: int, config: GeneratorConfig) -> None:
        super().__init__()
        size, outputs = config.level_sizes[level], config.filters[level]
        if level:
            self.conv0 = StyledLayer(config.filters[level - 1], outputs, size=size, config=config, up=True)
        else:
            self.const = nn.Parameter(normals(outputs, *size))
            self.conv0 = StyledLayer(None, outputs, size=size, config=config)
        self.conv1 = StyledLayer(outputs, outputs, size=size, config=config)
        self.level = level

    def layers(self) -> list[StyledLayer]:
        """The two layers, each of which takes a w."""
        return [self.conv0, self.conv1]

    def forward(self, x: Tensor | None, ws: Sequence[Tensor], noise: Sequence[Tensor | None]) -> Tensor:
        """`ws` two w, `noise` two maps -> features of this level."""
        if x is None:
            x = self.const.expand(len(ws[0]), -1, -1, -1)
        return self.conv1(self.conv0(x, ws[0], noise[0]), ws[1], noise[1])


class Synthesis(nn.Module):
    """The synthesis network g: ws -> pictures of any size it grew through."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        levels = range(len(config.filters))
        self.blocks = nn.ModuleList(SynthesisBlock(level, config) for level in levels)
        self.torgb = nn.ModuleList(Conv(n, config.channels, 1, activate=False) for n in config.filters)

    @property
    def num_ws(self) -> int:
        """2 (n + 1) for n doublings: a level has two layers."""
        return 2 * len(self.blocks)

    @property
    def noise_shapes(self) -> list[tuple[int, int]]:
        """Height and width of each noise map, coarse to fine: two a level, or one where a level shares it."""
        each = 2 if self.config.noise == "layer" else 1
        return [size for size in self.config.level_sizes for _ in range(each)]

    def noise_maps(self, noise: Noise, count: int, like: Tensor, *, levels: int | None = None) -> list[Tensor | None]:
        """Resolve the word for noise into one map a layer of the first `levels` levels (all by default).

        Each is [H, W] or [count, 1, H, W], or None; words as for StyleGAN2. Raises SettingError for anything else.
        """
        noise = checked_noise(noise)
        shapes = self.noise_shapes
        each = len(shapes) // len(self.blocks)
        used = each * (len(self.blocks) if levels is None else levels)
        if isinstance(noise, list) and len(noise) not in (used, len(shapes)):
            raise SettingError("noise", f"{len(noise)} maps", f"this network has {len(shapes)} noise maps")
        own = None
        if each == 2:
            layers = [layer for block in self.blocks for layer in block.layers()]  # type: ignore[operator]
            own = [layer.noise for layer in layers[:used]]
        maps = resolved(noise, shapes[:used], own, count=count, like=like)
        return maps if each == 2 else [one for one in maps for _ in range(2)]

    def level(self, size: tuple[int, int] | None, alpha: float) -> int:
        """The level that has `size`, the finest for None. Raises SettingError for a size or an alpha there is not."""
        _checked_alpha(alpha)
        return len(self.blocks) - 1 if size is None else level_of(size, self.config.level_sizes)

    def forward(
        self, ws: Tensor, noise: Noise = "const", size: tuple[int, int] | None = None, alpha: float = 1.0
    ) -> Tensor:
        """ws [N, num_ws, w_dim] -> [N, channels, H, W], about -1 .. 1.

        `size` (height, width) is one the network grew through, the full one where None; there `alpha` from 0 to 1
        blends the newest level in: (1 - alpha) nearest_x2(toRGB of the level before) + alpha toRGB (Karras et al.
        2018, section 2). Rows of ws that belong to larger sizes are not looked at. Raises ValueError for
        a ws of another shape, SettingError for noise, size and alpha.
        """
        config = self.config
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, config.w_dim):
            raise ValueError(f"ws is [N, {self.num_ws}, {config.w_dim}], not {list(ws.shape)}")
        level, alpha = self.level(size, alpha), float(alpha)
        maps = self.noise_maps(noise, len(ws), ws, levels=level + 1)
        rows = ws.unbind(dim=1)
        x: Tensor | None = None
        before: Tensor | None = None
        for k in range(level + 1):
            before, x = x, self.blocks[k](x, rows[2 * k : 2 * k + 2], maps[2 * k : 2 * k + 2])
        img = wide(self.torgb[level](x))
        if alpha == 1 or before is None:
            return img
        return torch.lerp(_nearest(wide(self.torgb[level - 1](before))), img, alpha)

    def every_size(self, ws: Tensor, noise: Noise = "const") -> list[Tensor]:
        """ws [N, num_ws, w_dim] -> a picture of every size it grew through, coarse to fine, alpha 1, in one pass."""
        maps, rows = self.noise_maps(noise, len(ws), ws), ws.unbind(dim=1)
        x: Tensor | None = None
        drawn: list[Tensor] = []
        for k, (block, torgb) in enumerate(zip(self.blocks, self.torgb, strict=True)):
            x = block(x, rows[2 * k : 2 * k + 2], maps[2 * k : 2 * k + 2])
            drawn.append(wide(torgb(x)))
        return drawn

    def reached(self, level: int, *, fading: bool) -> list[nn.Parameter]:
        """The parameters that a picture of that level depends on; `fading`: with the toRGB of the level before."""
        parts: list[nn.Module] = [*self.blocks[: level + 1], self.torgb[level]]
        if fading and level:
            parts.append(self.torgb[level - 1])
        return [parameter for part in parts for parameter in part.parameters()]


# --- discriminator -----------------------------------------------------------------------------------------------


class DiscriminatorBlock(nn.Module):
    """One level of the discriminator: a convolution, blur, a convolution that halves the size."""

    def __init__(self, level: int, config: DiscriminatorConfig) -> None:
        super().__init__()
        inputs, outputs = config.filters[level], config.filters[level - 1]
        middle = outputs if config.widen_first else inputs
        self.conv0 = Conv(inputs, middle, 3)
        self.conv1 = HalvingConv(middle, outputs)
        self.level = level

    def forward(self, x: Tensor) -> Tensor:
        """[N, n_in, H, W] -> [N, n_out, H / 2, W / 2]."""
        return self.conv1(self.conv0(x))


class HalvingConv(nn.Module):
    """Blur, equalised 3 x 3 convolution, averages of 2 x 2, bias, sqrt(2) lrelu."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(normals(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.blur = _Blur()

    def forward(self, x: Tensor) -> Tensor:
        """[N, n_in, H, W] -> [N, n_out, H / 2, W / 2]."""
        gain = math.sqrt(2)  # of the activation, which is positively homogeneous
        x = laid_like(x, self.weight)
        y = self.blur.halved(self.blur(x), self.weight * (gain / math.sqrt(self.weight[0].numel())))
        return F.leaky_relu(y + (self.bias * gain).to(y.dtype)[:, None, None], SLOPE)


class Discriminator(nn.Module):
    """Pictures of any size it grew through -> logits, one each; with classes by projection (Miyato and Koyama 2018)."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(DiscriminatorBlock(k, config) for k in range(len(config.filters) - 1, 0, -1))
        self.fromrgb = nn.ModuleList(
            Conv(config.channels, width, 1, activate=config.rgb_activation) for width in config.filters
        )
        width = config.filters[0]
        map_dim = width if config.map_dim is None else config.map_dim
        self.mapping = (
            Mapping(0, map_dim, config.num_classes, layers=config.mapping_layers, lr=config.mapping_lr)
            if config.num_classes
            else None
        )
        outputs = map_dim if config.num_classes else 1
        self.epilogue = Epilogue(width, config.level_sizes[0], outputs, group_size=config.group_size)

    def forward(self, img: Tensor, label: Tensor | None = None, alpha: float = 1.0) -> Tensor:
        """img [N, channels, H, W] in -1 .. 1, label as for the mapping -> logits [N].

        The level is that of the pictures; `alpha` from 0 to 1 blends it in: the level below it sees
        (1 - alpha) fromRGB of the picture's 2 x 2 averages + alpha of what comes from the newest block. Raises
        SettingError for another alpha or size, ValueError for another shape.
        """
        config = self.config
        if img.ndim != 4 or img.shape[1] != config.channels:
            raise ValueError(f"pictures are [N, {config.channels}, H, W], not {list(img.shape)}")
        alpha = _checked_alpha(alpha)
        level = level_of((img.shape[2], img.shape[3]), config.level_sizes)
        x = self.fromrgb[level](img)
        newest = len(self.blocks) - level
        for k in range(newest, len(self.blocks)):
            x = self.blocks[k](x)
            if k == newest and alpha < 1:
                smaller = self.fromrgb[level - 1](F.avg_pool2d(img, 2))
                x = torch.lerp(smaller, x, alpha)
        return projected(self.epilogue(x, None), self.mapping, label)

    def reached(self, level: int, *, fading: bool) -> list[nn.Parameter]:
        """The parameters that logits of pictures of that level depend on."""
        parts: list[nn.Module] = [self.fromrgb[level], *self.blocks[len(self.blocks) - level :], self.epilogue]
        if fading and level:
            parts.append(self.fromrgb[level - 1])
        if self.mapping is not None:
            parts.append(self.mapping)
        return [parameter for part in parts for parameter in part.parameters()]


# --- cutting down ------------------------------------------------------------------------------------------------

Network = TypeVar("Network", bound=nn.Module)


def at_size(network: Network, size: Size) -> Network:
    """A generator or discriminator cut down to a size it grew through; it shares the tensors of `network`.

    At that size, and below, it says what `network` says there. Raises SettingError.
    """
    config: Any = network.config
    sizes = config.level_sizes
    level = level_of(size, sizes)
    cut = len(sizes) - 1 - level
    if not cut:
        return network
    smaller = replace(config, size=sizes[level], start=sizes[0], filters=config.filters[: level + 1])
    with torch.device("meta"):
        twin = type(network)(smaller)
    theirs = network.state_dict()
    finest_first = isinstance(network, Discriminator)

    def source(name: str) -> str:
        parts = name.split(".")
        if finest_first and parts[0] == "blocks":
            parts[1] = str(int(parts[1]) + cut)
        return ".".join(parts)

    twin.load_state_dict({name: theirs[source(name)] for name in twin.state_dict()}, assign=True)
    return twin.train(network.training)
