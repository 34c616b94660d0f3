"""A generator made ready for looking: folded weights, precision chosen by measurement, unchanged layers kept.

One picture at a time, on one thread of the caller's. On the CPU the network is unrolled into a list of steps, each
with everything that does not depend on w worked out once; what a step leaves is kept, so that the next picture
starts at the first step whose w or noise is another. On other devices the network runs as it is, under autocast.

The float32 engine always takes the same route, so a recipe has the same pixels wherever it is rendered; bfloat16,
which is for the hand while it moves, takes for each layer the route that was the faster one at load.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import SettingError
from core.generator import Generator
from core.layers import SLOPE, upsample
from core.stylegan2 import Noise, StyledConv, SynthesisBlock, ToRGB

__all__ = ["Engine", "choose_device", "prepare"]

_SQRT2 = math.sqrt(2)


class Engine:
    """A prepared generator. `synthesis(ws, noise)` gives pictures; `says` is one line on precision, device and why."""

    def __init__(self, generator: Generator, *, device: torch.device, precision: str, says: str) -> None:
        self.generator = generator
        self.device = device
        self.precision = precision
        self.says = says

    def synthesis(self, ws: Tensor, noise: Noise = "const") -> Tensor:
        """ws [N, num_ws, w_dim] -> [N, channels, H, W] float32 on the CPU. Raises SettingError for an unknown noise."""
        raise NotImplementedError


def prepare(generator: Generator, *, device: str = "auto", precision: str = "auto") -> Engine:
    """Make `generator` ready for looking; it must not be changed afterwards.

    `device` auto, cpu, cuda or mps; `precision` auto, float32 or bfloat16. Auto measures both where bfloat16 could
    be the faster one, which takes a fraction of a second. Raises SettingError.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise SettingError("precision", precision, "auto, float32 or bfloat16")
    where = choose_device(device)
    with torch.inference_mode():
        if where.type != "cpu":
            return _Whole(generator, device=where, precision=precision)
        if precision != "auto":
            return _Unrolled(generator, precision=precision, why="as asked")
        narrow = _Unrolled(generator, precision="bfloat16", why="")
        wide = _Unrolled(generator, precision="float32", why="")
        ws = generator.w_avg.expand(1, generator.num_ws, -1)
        fast, slow = (_milliseconds(partial(engine.fresh, ws), 3) for engine in (narrow, wide))
        chosen, other = (narrow, wide) if fast < slow else (wide, narrow)
        chosen.says += f": {min(fast, slow):.0f} ms a picture, {other.precision} {max(fast, slow):.0f} ms"
        return chosen


def choose_device(name: str) -> torch.device:
    """auto takes CUDA, then MPS, then the CPU. Raises SettingError for a device that is not there."""
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in has.items() if there))
    if name not in has or not has[name]:
        there = ", ".join(device for device, is_there in has.items() if is_there)
        raise SettingError("device", name, f"auto or one that this machine has: {there}")
    return torch.device(name)


def _milliseconds(run: Callable[[], object], times: int) -> float:
    run()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return 1000 * min(taken)


# --- other devices -----------------------------------------------------------------------------------------------


class _Whole(Engine):
    """The network as it is, on a device where launching counts for more than arithmetic."""

    def __init__(self, generator: Generator, *, device: torch.device, precision: str) -> None:
        dtype = "bfloat16" if precision == "bfloat16" or (precision == "auto" and device.type == "cuda") else "float32"
        super().__init__(generator, device=device, precision=dtype, says=f"{dtype}, {device.type}")
        self.network = _copy(generator).to(device)
        for name, parameter in self.network.named_parameters():
            if name.endswith("conv.weight"):
                parameter.data = _channels_last(parameter.data)

    @torch.inference_mode()
    def synthesis(self, ws: Tensor, noise: Noise = "const") -> Tensor:
        narrow = self.precision == "bfloat16"
        # cuDNN rounds the factors of float32 convolutions to 10 bits unless told not to.
        exactly = torch.backends.cudnn.flags(allow_tf32=narrow)
        with exactly, torch.autocast(self.device.type, torch.bfloat16, enabled=narrow):
            pictures = [self.network.synthesis(one[None].to(self.device), noise) for one in ws]
        return torch.cat(pictures).float().cpu()


def _copy(generator: Generator) -> Generator:
    twin = Generator(generator.config)
    twin.load_state_dict(generator.state_dict())
    return twin.eval().requires_grad_(False)


# --- the CPU -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _State:
    """What flows between steps: features, the running picture, and a residual block's shortcut."""

    x: Tensor | None = None
    img: Tensor | None = None
    shortcut: Tensor | None = None


_Step = Callable[[_State, Tensor, Tensor | None], _State]


class _Unrolled(Engine):
    def __init__(self, generator: Generator, *, precision: str, why: str) -> None:
        says = f"{precision}, cpu" + (f", {why}" if why else "")
        super().__init__(generator, device=torch.device("cpu"), precision=precision, says=says)
        self.dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.steps: list[_Step] = []
        self.rows: list[int] = []  # the w that each step takes
        self.maps: list[StyledConv | None] = []  # the layer whose noise each step takes
        self._unroll(cast(Sequence[SynthesisBlock], generator.synthesis.blocks))
        self._before: list[_State] = []
        self._ws: Tensor | None = None
        self._key: object = None
        self._noise: list[Tensor | None] = []

    def _unroll(self, blocks: Sequence[SynthesisBlock]) -> None:
        row = 0
        for block in blocks:
            for conv in block.convs():
                first, last = conv is block.convs()[0], conv is block.conv1
                self._add(_conv_step(conv, block, dtype=self.dtype, first=first, last=last), row, conv)
                row += 1
            self._add(_picture_step(block, dtype=self.dtype), row, None)

    def _add(self, step: _Step, row: int, layer: StyledConv | None) -> None:
        self.steps.append(step)
        self.rows.append(row)
        self.maps.append(layer)

    @torch.inference_mode()
    def synthesis(self, ws: Tensor, noise: Noise = "const") -> Tensor:
        return torch.cat([self._one(one.float().cpu(), noise) for one in ws])

    def fresh(self, ws: Tensor) -> Tensor:
        """Synthesis that keeps nothing from the picture before."""
        self._ws = None
        return self.synthesis(ws)

    def _one(self, ws: Tensor, noise: Noise) -> Tensor:
        start = self._first_changed(ws, noise)
        state = self._before[start] if start else _State()
        del self._before[start:]
        # Until this picture is whole, the rows it was made of are not those of what is kept.
        self._ws = None
        for index in range(start, len(self.steps)):
            self._before.append(state)
            state = self.steps[index](state, ws[self.rows[index]], self._noise[index])
        self._before.append(state)
        self._ws = ws.clone()
        assert state.img is not None
        return state.img.clone()

    def _first_changed(self, ws: Tensor, noise: Noise) -> int:
        """The index of the first step that must run again; all of them when the noise is another."""
        key = noise if isinstance(noise, str | int) and noise != "random" else object()
        known = self._ws is not None and key == self._key and type(key) is type(self._key)
        if not known:
            resolved = self.generator.synthesis.noise_maps(noise, 1, ws)
            maps = iter(resolved)
            self._noise = [None if layer is None else self._prepared(layer, next(maps)) for layer in self.maps]
            self._key = key
            return 0
        assert self._ws is not None
        changed = (ws != self._ws).any(dim=1).tolist()
        return next((k for k, row in enumerate(self.rows) if changed[row]), len(self.steps))

    def _prepared(self, layer: StyledConv, noise: Tensor | None) -> Tensor | None:
        if noise is None or not layer.use_noise or layer.strength.item() == 0:
            return None
        return (noise * (layer.strength * (_SQRT2 * layer.gain))).to(self.dtype).reshape(1, 1, *layer.size)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _conv_step(layer: StyledConv, block: SynthesisBlock, *, dtype: torch.dtype, first: bool, last: bool) -> _Step:
    """The step of one styled convolution; `first` and `last` of its block, where shortcuts begin and end."""
    run: _Styled
    if not layer.conv.up:
        run = _Plain(layer, dtype)
    elif dtype == torch.float32 or not block.plain:
        run = _Transposed(layer, dtype)
    else:
        run = _faster(_Transposed(layer, dtype), _Phases(layer, dtype))
    const = None if block.level else _channels_last(block.const[None].to(dtype))
    skip = block.skip if block.residual else None
    weight = None
    if skip is not None:
        weight = _channels_last((skip.weight * (skip.gain / math.sqrt(skip.weight.shape[1]))).to(dtype))

    def step(state: _State, w: Tensor, noise: Tensor | None) -> _State:
        x = state.x if const is None else const
        assert x is not None
        shortcut = state.shortcut
        if first and weight is not None and skip is not None:
            shortcut = upsample(F.conv2d(x, weight), skip.filter)
        y = run(x, w, noise)
        if layer.clamp is not None:
            y = y.clamp_(-layer.clamp * layer.gain, layer.clamp * layer.gain)
        if last and shortcut is not None:
            y, shortcut = shortcut + y, None
        return _State(y, state.img, shortcut)

    return step


def _picture_step(block: SynthesisBlock, *, dtype: torch.dtype) -> _Step:
    """The step that doubles the running picture and adds this block's toRGB."""
    rgb = None if block.torgb is None else _RGB(block.torgb, dtype)

    def step(state: _State, w: Tensor, noise: Tensor | None) -> _State:
        img = state.img
        if img is not None:
            img = block.doubled(img)
        if rgb is not None:
            assert state.x is not None
            y = rgb(state.x, w)
            img = y if img is None else img.add_(y)
        return _State(state.x, img, state.shortcut)

    return step


def _convolution(weight: Tensor, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """A convolution, padded by 1, with a weight that oneDNN has laid out once for inputs of `size`.

    Otherwise it lays the weight out anew in each call, which at the coarse levels costs more than the arithmetic.
    Where this torch or this processor has no such operation, the ordinary one runs.
    """
    ones = [1, 1]
    try:
        shape = [1, weight.shape[1], *size]
        reorder: Callable[..., Tensor] = torch._C._nn.mkldnn_reorder_conv2d_weight
        laid = reorder(weight.to_mkldnn(), ones, ones, ones, 1, shape)
        operation = torch.ops.mkldnn._convolution_pointwise.default

        def run(x: Tensor) -> Tensor:
            return operation(x, laid, None, ones, ones, ones, 1, "none", [], "")

        run(_channels_last(weight.new_zeros(shape)))
    except (AttributeError, RuntimeError):
        return partial(F.conv2d, weight=_channels_last(weight), padding=1)
    return run


class _Styled:
    """What every route to a styled convolution shares: style and demodulation of a w, and the end of the layer."""

    def __init__(self, layer: StyledConv, dtype: torch.dtype) -> None:
        conv = layer.conv
        self.dtype = dtype
        self.affine = (conv.affine.weight / math.sqrt(conv.affine.weight.shape[1])).contiguous()
        self.affine_bias = conv.affine.bias
        self.energy = conv.weight.square().sum(dim=(2, 3))
        self.gain = _SQRT2 * layer.gain
        self.bias = (layer.bias * self.gain).to(dtype)
        height, width = layer.size
        self.half_size = (height // 2, width // 2)
        # Where the picture outweighs the weights, scaling the weights touches less memory than scaling the picture.
        self.fold = height * width > 18 * conv.weight.shape[0]

    def scales(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """w [w_dim] -> style [n_in], demodulation times gain [n_out], float32."""
        style = torch.addmv(self.affine_bias, self.affine, w)
        return style, torch.rsqrt(torch.mv(self.energy, style.square()) + 1e-8).mul_(self.gain)

    def __call__(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """x [1, n_in, h, w], w [w_dim], noise [1, 1, H, W] scaled or None -> [1, n_out, H, W]."""
        raise NotImplementedError

    def styled(self, x: Tensor, style: Tensor) -> Tensor:
        return x * style.to(self.dtype)[:, None, None]

    def end(self, y: Tensor, scale: Tensor | None, noise: Tensor | None) -> Tensor:
        """Demodulate (unless folded), add noise (bias is in y when folded), activate."""
        if scale is not None:
            y = torch.addcmul(self.bias[:, None, None], y, scale.to(self.dtype)[:, None, None])
        if noise is not None:
            y = y.add_(noise)
        return F.leaky_relu_(y, SLOPE)


class _Plain(_Styled):
    """3x3 at the same size."""

    def __init__(self, layer: StyledConv, dtype: torch.dtype) -> None:
        super().__init__(layer, dtype)
        if self.fold:
            self.weight = _channels_last(layer.conv.weight)
        else:
            self.convolve = _convolution(layer.conv.weight.to(dtype), layer.size)

    def __call__(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        style, scale = self.scales(w)
        if self.fold:
            weight = (self.weight * (scale[:, None] * style)[:, :, None, None]).to(self.dtype)
            return self.end(F.conv2d(x, weight, self.bias, padding=1), None, noise)
        return self.end(self.convolve(self.styled(x, style)), scale, noise)


class _Transposed(_Styled):
    """Twice the size by a transposed convolution, then the filter, which demodulates: any filter."""

    def __init__(self, layer: StyledConv, dtype: torch.dtype) -> None:
        super().__init__(layer, dtype)
        filter = layer.conv.filter
        self.kernel = torch.outer(filter, filter) * 4
        self.pad = ((len(filter) + 1) // 2 - 1, (len(filter) - 2) // 2)
        # Stored as [n_in, n_out, 3, 3]: otherwise the convolution would turn the weight round in each picture.
        weight = layer.conv.weight.transpose(0, 1)
        self.weight = _channels_last(weight if self.fold else weight.to(dtype))

    def __call__(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        style, scale = self.scales(w)
        weight = self.weight
        if self.fold:
            weight = (weight * style[:, None, None, None]).to(self.dtype)
        else:
            x = self.styled(x, style)
        return self.end(self.filtered(F.conv_transpose2d(x, weight, stride=2), scale), None, noise)

    def filtered(self, y: Tensor, scale: Tensor) -> Tensor:
        before, after = self.pad
        if before != after:
            y, before = _channels_last(F.pad(y, [before, after] * 2)), 0
        kernel = (self.kernel * scale[:, None, None]).to(self.dtype)[:, None]
        return F.conv2d(y, kernel, self.bias, padding=before, groups=len(scale))


class _Phases(_Styled):
    """Twice the size for [1, 3, 3, 1] = [1, 1] * [1, 2, 1], as one convolution at the small size.

    [1, 1] is folded into the 3x3 kernel; the 4x4 one falls into four phases of 2x2 taps, which one convolution to
    four times the channels computes; a depthwise [1, 2, 1] over the interleaved phases ends it, and demodulates.
    """

    def __init__(self, layer: StyledConv, dtype: torch.dtype) -> None:
        super().__init__(layer, dtype)
        weight = layer.conv.weight
        outputs, inputs = weight.shape[:2]
        ones = weight.new_ones(1, 1, 2, 2)
        wide = F.conv_transpose2d(weight.reshape(-1, 1, 3, 3), ones).reshape(outputs, inputs, 4, 4)
        phases = [wide[:, :, [2 + dy, dy]][:, :, :, [2 + dx, dx]] for dy in (0, 1) for dx in (0, 1)]
        self.convolve = _convolution(torch.cat(phases).to(dtype), self.half_size)
        small = weight.new_tensor([1, 2, 1]) / 4
        self.small = torch.outer(small, small)

    def __call__(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        style, scale = self.scales(w)
        y = self.convolve(self.styled(x, style))
        outputs, (height, width) = len(scale), y.shape[2:]
        y = y.permute(0, 2, 3, 1).reshape(height, width, 2, 2, outputs).permute(0, 2, 1, 3, 4)
        y = y.reshape(1, 2 * height, 2 * width, outputs).permute(0, 3, 1, 2)
        kernel = (self.small * scale[:, None, None]).to(self.dtype)[:, None]
        return self.end(F.conv2d(y, kernel, self.bias, groups=outputs), None, noise)


def _faster(a: _Styled, b: _Styled) -> _Styled:
    """The faster of two routes to the same layer on this machine, measured on a picture of its size."""
    inputs, w_dim = a.affine.shape
    w = a.affine.new_zeros(w_dim)
    x = _channels_last(torch.ones(1, inputs, *a.half_size, dtype=a.dtype))
    return min((a, b), key=lambda route: _milliseconds(lambda: route(x, w, None), 2))


class _RGB:
    """toRGB: the style goes into the 1x1 weight."""

    def __init__(self, layer: ToRGB, dtype: torch.dtype) -> None:
        conv = layer.conv
        self.dtype = dtype
        gain = 1 / math.sqrt(conv.weight.shape[1])
        self.affine = conv.affine.weight * (gain / math.sqrt(conv.affine.weight.shape[1]))
        self.affine_bias = conv.affine.bias * gain
        self.weight = conv.weight[:, :, 0, 0]
        self.bias = layer.bias
        self.clamp = layer.clamp

    def __call__(self, x: Tensor, w: Tensor) -> Tensor:
        style = torch.addmv(self.affine_bias, self.affine, w)
        weight = (self.weight * style).to(self.dtype)
        y = F.conv2d(x, weight[:, :, None, None]).float().add_(self.bias[:, None, None])
        return y if self.clamp is None else y.clamp_(-self.clamp, self.clamp)
