"""How long one picture takes, from ws to 8-bit pixels: a table of networks, float32 and bfloat16, on this machine.

Beside each figure stand its floor and its baseline, measured in the same run: the convolution peak (the best rate of
a set of 3x3 convolutions in that precision) and the modulated-weight float32 way of the papers' own code, restated.

    python benchmarks/synthesis.py [--json] [--networks A,brain] [--repeat 15] [--threads N]
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor
from torch.nn import functional as F

import core
from benchmarks.timing import median, peak
from core.command import Parser, run
from core.errors import SettingError
from core.pictures import to_8bit
from core.sizes import filters
from core.stylegan2 import SynthesisBlock

# name: size, picture channels, channel base, channel maximum, w_dim
NETWORKS = {
    "A": ((256, 256), 3, 16384, 512, 512),
    "B": ((256, 256), 1, 8192, 256, 256),
    "brain": ((224, 192), 1, 8192, 256, 256),
    "D": ((128, 128), 1, 8192, 256, 256),
    "brain-half": ((112, 96), 1, 2048, 256, 256),
    "C": ((64, 64), 1, 4096, 512, 512),
    "C2": ((64, 64), 1, 4096, 256, 256),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Row:
    """One line of the table; milliseconds are medians."""

    network: str
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
    decibels: float | None  # of the 8-bit picture against float32


def main() -> int:
    """Measure and print."""
    parser = Parser(prog="benchmarks/synthesis.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    names = options.networks.split(",")
    for name in names:
        if name not in NETWORKS:
            raise SettingError("networks", name, "some of " + ", ".join(NETWORKS))
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        peaks = {name: peak(dtype, batch=1) for name, dtype in DTYPES.items()}
        rows = [row for name in names for row in measure(name, peaks=peaks, repeat=options.repeat)]
    facts = {"torch": torch.__version__, "threads": options.threads, "peak_gflops_per_second": peaks}
    if options.json:
        print(json.dumps({**facts, "rows": [asdict(row) for row in rows]}))
    else:
        show(rows, facts)
    return 0


def show(rows: list[Row], facts: dict[str, object]) -> None:
    """Print the table."""
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    print(f"{'network':11} {'size':8} {'dtype':9} {'GFLOP':>6}", end="")
    print(f"{'ms':>8} {'baseline':>8} {'times':>6} {'GFLOP/s':>8} {'of peak':>8} {'cached':>7} {'dB':>5}")
    for r in rows:
        print(f"{r.network:11} {r.size:8} {r.dtype:9} {r.gflop:6.1f}", end="")
        print(f"{r.ms:8.1f} {r.baseline_ms:8.1f} {r.times_faster:6.1f} {r.gflops_per_second:8.0f}", end="")
        print(f" {r.share_of_peak:8.2f} {r.cached_ms:7.1f} {'' if r.decibels is None else f'{r.decibels:5.1f}'}")


def measure(name: str, *, peaks: dict[str, float], repeat: int) -> list[Row]:
    """Rows of one network, one a precision."""
    size, channels, base, maximum, w_dim = NETWORKS[name]
    torch.manual_seed(0)
    g = core.build_generator(
        core.GeneratorConfig(
            size=size, channels=channels, filters=filters(size, base=base, maximum=maximum), z_dim=w_dim, w_dim=w_dim
        )
    ).eval()
    for block in blocks_of(g):
        for conv in block.convs():
            conv.strength.fill_(0.1)
    ws = g.mapping(core.latents.seeds_to_z([0, 1], w_dim))
    first, second = (g.truncate(w[None], psi=0.7) for w in ws)
    # Distinct pictures in turn, so that nothing kept from the one before helps.
    turn = [first, second]
    finer = first.clone()
    finer[:, g.num_ws // 2 :] = second[:, g.num_ws // 2 :]
    half = [first, finer]
    exact = g.synthesis(first)
    scale = 1 / float(exact.abs().max())
    baseline = milliseconds(lambda k: to_8bit(modulated(g, turn[k % 2])), repeat)
    gflop = gflops(g)
    rows = []
    for dtype in DTYPES:
        engine = core.engine.prepare(g, device="cpu", precision=dtype)
        ms = milliseconds(partial(picture, engine, turn), repeat)
        cached = milliseconds(partial(picture, engine, half), repeat)
        rate = gflop / ms * 1000
        rows.append(
            Row(
                name, f"{size[0]}x{size[1]}", channels, base, maximum, w_dim, dtype, gflop, ms, baseline, baseline / ms,
                rate, rate / peaks[dtype], cached,
                None if dtype == "float32" else decibels(engine.synthesis(first) * scale, exact * scale),
            )
        )  # fmt: skip
    return rows


def picture(engine: core.engine.Engine, turn: Sequence[Tensor], k: int) -> object:
    """Draw picture k of those that take turns."""
    return to_8bit(engine.synthesis(turn[k % len(turn)]))


def milliseconds(call: Callable[[int], object], repeat: int) -> float:
    """Median of `repeat` calls."""
    return 1000 * median(call, repeat=repeat)


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
    for block, (height, width) in zip(blocks_of(g), g.config.level_sizes, strict=True):
        for conv in block.convs():
            pixels = height * width / (4 if conv.conv.up else 1)
            total += 2 * conv.conv.weight.numel() * pixels
        if block.torgb is not None:
            total += 2 * block.torgb.conv.weight.numel() * height * width
    return total / 1e9


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
