"""How long one picture takes, from ws to 8-bit pixels: a table of networks, float32 and bfloat16, on this machine.

Beside each figure stand its floor and its baseline, measured in the same run: the convolution peak (the best rate of
a set of 3x3 convolutions in that precision), and for StyleGAN2 the modulated-weight float32 way of the papers' own
code, restated, for StyleGAN the network itself in float32.

    python benchmarks/synthesis.py [--json] [--networks A,brain] [--repeat 15] [--threads N] [--busy] [--device cpu]
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor
from torch.nn import functional as F

import core
from benchmarks.timing import Timing, median, peak, shortest
from core.command import Parser, run
from core.errors import SettingError, StyloscopeError
from core.layers import Conv
from core.pictures import to_8bit
from core.sizes import filters
from core.stylegan2 import SynthesisBlock
from train import machine


@dataclass(frozen=True)
class Network:
    """What is measured."""

    size: tuple[int, int]
    channels: int  # of the pictures
    base: int  # of the channels, as `core.sizes.filters` means it
    maximum: int
    w_dim: int
    arch: str = "stylegan2"


NETWORKS = {
    "A": Network((256, 256), 3, 16384, 512, 512),
    "B": Network((256, 256), 1, 8192, 256, 256),
    "brain": Network((224, 192), 1, 8192, 256, 256),
    "D": Network((128, 128), 1, 8192, 256, 256),
    "brain-half": Network((112, 96), 1, 2048, 256, 256),
    "C": Network((64, 64), 1, 4096, 512, 512),
    "C2": Network((64, 64), 1, 4096, 256, 256),
    "progressive": Network((256, 256), 3, 16384, 512, 512, "stylegan"),
    "brain-progressive": Network((112, 96), 1, 4096, 192, 192, "stylegan"),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Row:
    """One line of the table; milliseconds are medians, or the shortest where the machine is busy."""

    network: str
    arch: str
    size: str
    channels: int
    channel_base: int
    channel_max: int
    w_dim: int
    dtype: str
    gflop: float
    ms: float
    baseline_ms: float
    times_faster: float
    gflops_per_second: float
    share_of_peak: float
    cached_ms: float  # when only the styles of the finer half change
    alpha_ms: float | None  # when only alpha changes, in networks that grow
    decibels: float | None  # of the 8-bit picture against float32


def main() -> int:
    """Measure and print."""
    parser = Parser(prog="benchmarks/synthesis.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--busy", action="store_true", help="one thread by its own clock, the shortest of --repeat")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or mps")
    options = parser.parse_args()
    names = options.networks.split(",")
    for name in names:
        if name not in NETWORKS:
            raise SettingError("networks", name, "some of " + ", ".join(NETWORKS))
    device = machine.device(options.device)
    if options.busy and device.type != "cpu":
        raise SettingError("busy", True, "--device cpu: the clock of a thread does not see another device")
    threads = 1 if options.busy else options.threads
    timing: Timing = shortest if options.busy else partial(median, wait=partial(machine.wait, device))
    torch.set_num_threads(threads)
    with torch.inference_mode():
        peaks = {name: peak(dtype, batch=1, device=device, timing=timing) for name, dtype in DTYPES.items()}
        timed = partial(milliseconds, timing=timing, repeat=options.repeat)
        rows = [row for name in names for row in measure(name, device=device, peaks=peaks, timed=timed)]
    named = {"device": machine.name(device), "torch": torch.__version__, "threads": threads}
    facts = {**named, "peak_gflops_per_second": peaks}
    if options.json:
        print(json.dumps({**facts, "rows": [asdict(row) for row in rows]}))
    else:
        show(rows, facts)
    return 0


def show(rows: list[Row], facts: dict[str, object]) -> None:
    """Print the table."""
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    print(f"{'network':17} {'size':8} {'dtype':9} {'GFLOP':>6}", end="")
    print(f"{'ms':>8} {'baseline':>8} {'times':>6} {'GFLOP/s':>8} {'of peak':>8} {'cached':>7} {'alpha':>6} {'dB':>5}")
    for r in rows:
        print(f"{r.network:17} {r.size:8} {r.dtype:9} {r.gflop:6.1f}", end="")
        print(f"{r.ms:8.1f} {r.baseline_ms:8.1f} {r.times_faster:6.1f} {r.gflops_per_second:8.0f}", end="")
        print(f" {r.share_of_peak:8.2f} {r.cached_ms:7.1f} {number(r.alpha_ms, 6, 2)} {number(r.decibels, 5, 1)}")


def number(value: float | None, width: int, places: int) -> str:
    """A cell of the table; empty for None."""
    return " " * width if value is None else f"{value:{width}.{places}f}"


def measure(
    name: str, *, device: torch.device, peaks: dict[str, float], timed: Callable[[Callable[[int], object]], float]
) -> list[Row]:
    """Rows of one network, one a precision."""
    what = NETWORKS[name]
    g = built(what).to(device)
    ws = g.mapping(core.latents.seeds_to_z([0, 1], what.w_dim).to(device))
    first, second = (g.truncate(w[None], psi=0.7) for w in ws)
    # Distinct pictures in turn, so that nothing kept from the one before helps.
    turn = [first, second]
    finer = first.clone()
    finer[:, g.num_ws // 2 :] = second[:, g.num_ws // 2 :]
    half = [first, finer]
    exact = g.synthesis(first)
    scale = 1 / float(exact.abs().max())
    plainly = g.synthesis if g.grows else partial(modulated, g)
    baseline = timed(lambda k: to_8bit(plainly(turn[k % 2])))
    gflop = gflops(g)
    rows = []
    for dtype in DTYPES:
        engine = core.engine.prepare(g, device=device.type, precision=dtype)
        if engine.device.type != device.type:
            raise StyloscopeError(f"{machine.name(device)} does not draw what the processor draws: {engine.says}")
        ms = timed(partial(picture, engine, turn))
        cached = timed(partial(picture, engine, half))
        fading = timed(partial(faded, engine, first)) if g.grows else None
        rate = gflop / ms * 1000
        rows.append(
            Row(
                name, what.arch, f"{what.size[0]}x{what.size[1]}", what.channels, what.base, what.maximum, what.w_dim,
                dtype, gflop, ms, baseline, baseline / ms, rate, rate / peaks[dtype], cached, fading,
                None if dtype == "float32" else decibels(engine.synthesis(first) * scale, exact * scale),
            )
        )  # fmt: skip
    return rows


def built(what: Network) -> core.Generator:
    """The network with fresh weights, always the same, and noise that counts."""
    torch.manual_seed(0)
    config = core.stylegan.GeneratorConfig if what.arch == "stylegan" else core.stylegan2.GeneratorConfig
    widths = filters(what.size, base=what.base, maximum=what.maximum)
    g = core.build_generator(
        config(size=what.size, channels=what.channels, filters=widths, z_dim=what.w_dim, w_dim=what.w_dim)
    ).eval()
    for parameter_name, parameter in g.synthesis.named_parameters():
        if parameter_name.endswith("strength"):
            parameter.fill_(0.1)
    return g


def picture(engine: core.engine.Engine, turn: Sequence[Tensor], k: int) -> object:
    """Draw picture k of those that take turns."""
    return to_8bit(engine.synthesis(turn[k % len(turn)]))


def faded(engine: core.engine.Engine, ws: Tensor, k: int) -> object:
    """Draw the same picture at another alpha for each k."""
    return to_8bit(engine.synthesis(ws, alpha=(k % 50 + 1) / 52))


def milliseconds(call: Callable[[int], object], *, timing: Timing, repeat: int) -> float:
    """How long a call takes."""
    return 1000 * timing(call, repeat=repeat)


def decibels(ours: Tensor, exact: Tensor) -> float:
    """Peak signal to noise of the 8-bit pictures."""
    difference = to_8bit(ours).astype(float) - to_8bit(exact).astype(float)
    return 20 * math.log10(255 / max(math.sqrt((difference**2).mean()), 1e-9))


def blocks_of(g: core.Generator) -> Sequence[SynthesisBlock]:
    """The synthesis blocks, coarse to fine."""
    return cast(Sequence[SynthesisBlock], g.synthesis.blocks)


def gflops(g: core.Generator) -> float:
    """Multiplications and additions of the convolutions of one picture; an up-convolution has 9 taps an input pixel."""
    total = 0.0
    for (height, width), (weights, doubling) in zip(g.config.level_sizes, weights_of(g), strict=True):
        taps = sum(weight.numel() for weight in weights)
        total += 2 * height * width * (taps + (0 if doubling is None else doubling.numel() / 4))
    return total / 1e9


def weights_of(g: core.Generator) -> Iterator[tuple[list[Tensor], Tensor | None]]:
    """For each level, coarse to fine: weights of the convolutions at its size, and of the one that doubles up to it."""
    if isinstance(g.synthesis, core.stylegan.Synthesis):
        for level, block in enumerate(cast(Sequence[core.stylegan.SynthesisBlock], g.synthesis.blocks)):
            torgb = cast(Conv, g.synthesis.torgb[level])
            yield [cast(Tensor, block.conv1.weight), torgb.weight], block.conv0.weight
        return
    for styled in blocks_of(g):
        plain: list[Tensor] = [conv.conv.weight for conv in styled.convs() if not conv.conv.up]
        if styled.torgb is not None:
            plain.append(styled.torgb.conv.weight)
        yield plain, next((conv.conv.weight for conv in styled.convs() if conv.conv.up), None)


def modulated(g: core.Generator, ws: Tensor) -> Tensor:
    """The same picture by modulated weights (Karras et al. 2020, equations 1 to 3, as written): float32, one sample."""
    taps = torch.tensor([1.0, 3, 3, 1]) / 8
    filter = torch.outer(taps, taps) * 4
    x, img, row = None, None, 0
    for block in blocks_of(g):
        x = block.const[None] if x is None else x
        for layer in block.convs():
            style = layer.conv.affine(ws[:, row])
            weight = layer.conv.weight * style[0][None, :, None, None]
            weight = weight * torch.rsqrt(weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8)
            if layer.conv.up:
                x = F.pad(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), [1, 1, 1, 1])
                x = F.conv2d(x, filter.repeat(x.shape[1], 1, 1, 1), groups=x.shape[1])
            else:
                x = F.conv2d(x, weight, padding=1)
            x = x + layer.noise * layer.strength
            x = F.leaky_relu(x + layer.bias[None, :, None, None], 0.2) * math.sqrt(2)
            row += 1
        assert block.torgb is not None
        rgb = block.torgb.conv
        style = rgb.affine(ws[:, row]) / math.sqrt(rgb.weight.shape[1])
        y = F.conv2d(x, rgb.weight * style[0][None, :, None, None]) + block.torgb.bias[None, :, None, None]
        if img is not None:
            n, c, h, w = img.shape
            spread = img.new_zeros(n, c, h, 2, w, 2)
            spread[:, :, :, 0, :, 0] = img
            spread = F.pad(spread.reshape(n, c, 2 * h, 2 * w), [2, 1, 2, 1])
            y = y + F.conv2d(spread, filter.repeat(c, 1, 1, 1), groups=c)
        img = y
    assert img is not None
    return img


if __name__ == "__main__":
    sys.exit(run(main))
