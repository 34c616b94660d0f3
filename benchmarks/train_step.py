"""How many images a second a training step shows, phase by phase and altogether, float32 and bfloat16.

Beside each figure stand its floor and its baseline, measured in the same run: what the convolution peak would give for
the phase's multiplications and additions, and the same step by modulated weights in float32 (one weight a picture and
grouped convolutions, as the paper writes it).

    python benchmarks/train_step.py [--json] [--size 112x96] [--base 2048] [--max 256] [--batch 8] [--threads N]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.timing import median, peak
from core.command import Parser, run
from core.errors import SettingError
from core.frame import Frame
from core.layers import ModulatedConv, fir
from core.memory import keep_freed_memory
from train import machine
from train.config import Config, parse_size
from train.data import Phantoms
from train.loop import Reals, Trainer
from train.networks import build

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PHASES = ("generator", "discriminator", "path length", "r1")


@dataclass(frozen=True)
class Row:
    """One phase in one precision; `altogether` spreads the lazy phases over their intervals."""

    phase: str
    dtype: str
    images_per_second: float
    baseline_images_per_second: float
    times_faster: float
    floor_images_per_second: float
    gflop_per_image: float
    share_of_peak: float


def main() -> int:
    """Measure and print."""
    parser = Parser(prog="benchmarks/train_step.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size", default="112x96")
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--base", type=int, default=2048)
    parser.add_argument("--max", type=int, default=256)
    parser.add_argument("--w-dim", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    if options.threads < 1 or options.repeat < 1:
        raise SettingError("threads" if options.threads < 1 else "repeat", 0, "a whole number from 1 up")
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as a training does
    device = machine.device(options.device)
    config = Config.read(
        {
            "data": "phantoms",
            "size": options.size,
            "channels": str(options.channels),
            "channel_base": options.base,
            "channel_max": options.max,
            "w_dim": options.w_dim,
            "z_dim": options.w_dim,
            "mapping_layers": 4,
            "batch": options.batch,
            "path_every": 8,
        }
    )
    peaks = {
        name: peak(dtype, batch=8, device=device, wait=partial(machine.wait, device)) for name, dtype in DTYPES.items()
    }
    baseline = seconds(a_trainer(config, device=device, dtype="float32", modulated=True), repeat=options.repeat)
    flop = gflop(a_trainer(config, device=device, dtype="float32"))
    rows: list[Row] = []
    for dtype in DTYPES:
        taken = seconds(a_trainer(config, device=device, dtype=dtype), repeat=options.repeat)
        rows += table(config, taken, baseline=baseline, flop=flop, peak=peaks[dtype], dtype=dtype)
    facts = {
        "torch": torch.__version__,
        "device": machine.name(device),
        "size": options.size,
        "channels": options.channels,
        "channel_base": options.base,
        "channel_max": options.max,
        "w_dim": options.w_dim,
        "batch": options.batch,
        "peak_gflops_per_second": peaks,
    }
    if options.json:
        print(json.dumps({**facts, "rows": [asdict(row) for row in rows]}))
    else:
        show(rows, facts)
    return 0


def show(rows: list[Row], facts: dict[str, object]) -> None:
    """Print the table."""
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    print(f"{'phase':14} {'dtype':9} {'images/s':>9} {'baseline':>9}", end="")
    print(f" {'times':>6} {'floor':>8} {'GFLOP':>6} {'of peak':>8}")
    for r in rows:
        print(f"{r.phase:14} {r.dtype:9} {r.images_per_second:9.2f} {r.baseline_images_per_second:9.2f}", end="")
        print(
            f" {r.times_faster:6.1f} {r.floor_images_per_second:8.1f} {r.gflop_per_image:6.1f} {r.share_of_peak:8.2f}"
        )


def a_trainer(config: Config, *, device: torch.device, dtype: str, modulated: bool = False) -> Trainer:
    """Fresh networks on phantoms."""
    size = parse_size(config.size)
    networks = build(config, size=size, channels=int(config.channels), device=device)
    if modulated:
        for module in networks.g.modules():
            if isinstance(module, ModulatedConv):
                module.forward = ByWeights(module)  # type: ignore[method-assign]
    data = Phantoms(frame=Frame.of(size, size=size, fit="native"), channels=int(config.channels))
    return Trainer(config, networks, data, device=device, bfloat16=dtype == "bfloat16")


class ByWeights:
    """A modulated convolution as the paper writes it: one weight a picture, convolved in groups."""

    def __init__(self, conv: ModulatedConv) -> None:
        self.conv = conv

    def __call__(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor | None]:
        """What ModulatedConv gives; the demodulation is in the weight already, so ones are returned for it."""
        conv = self.conv
        n, inputs, height, width = x.shape
        outputs, _, kernel, _ = conv.weight.shape
        style = conv.affine(w)
        if not conv.demodulate:
            style = style / inputs**0.5
        weight = conv.weight[None] * style[:, None, :, None, None]
        if conv.demodulate:
            weight = weight * torch.rsqrt(weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8)
        x = x.reshape(1, n * inputs, height, width)
        if conv.up:
            turned = weight.transpose(1, 2).reshape(n * inputs, outputs, kernel, kernel)
            t = len(conv.filter)
            y = F.conv_transpose2d(x, turned, stride=2, groups=n)
            y = fir(y, conv.filter, pad=((t + 1) // 2 - 1, (t - 2) // 2), gain=4)
        else:
            y = F.conv2d(x, weight.reshape(n * outputs, inputs, kernel, kernel), padding=kernel // 2, groups=n)
        y = y.reshape(n, outputs, *y.shape[2:])
        return y, y.new_ones(n, outputs) if conv.demodulate else None


def phases(trainer: Trainer) -> dict[str, tuple[int, Callable[[], object]]]:
    """Each phase with its optimizer's step: how many images it computes, and how it is run."""
    n, count = trainer.networks, trainer.config.batch
    few = max(1, count // trainer.config.path_shrink)
    real = trainer.reals()

    def of_g(images: int, part: Callable[[slice], tuple[Tensor, dict[str, Tensor]]]) -> Callable[[], object]:
        def go() -> None:
            n.d.requires_grad_(False)
            trainer._phase("generator", n.g_adam, images, part, trainer.reached.g)
            n.d.requires_grad_(True)

        return go

    def of_d(part: Callable[[slice, Reals], tuple[Tensor, dict[str, Tensor]]]) -> Callable[[], object]:
        def go() -> None:
            trainer._phase("discriminator", n.d_adam, count, lambda chosen: part(chosen, real), trainer.reached.d)

        return go

    return {
        "generator": (count, of_g(count, trainer.generator_loss)),
        "discriminator": (count, of_d(trainer.discriminator_loss)),
        "path length": (few, of_g(few, trainer.path_penalty)),
        "r1": (count, of_d(trainer.r1_penalty)),
    }


def seconds(trainer: Trainer, *, repeat: int) -> dict[str, float]:
    """Median seconds for one image of each phase."""
    wait = partial(machine.wait, trainer.device)
    return {
        name: median(lambda k, go=go: go(), repeat=repeat, warm=1, wait=wait) / n  # type: ignore[misc]
        for name, (n, go) in phases(trainer).items()
    }


def gflop(trainer: Trainer) -> dict[str, float]:
    """Multiplications and additions of one image in each phase, counted by PyTorch."""
    counted = {}
    for name, (images, go) in phases(trainer).items():
        with Counter() as counter:
            go()
        counted[name] = counter.total / images / 1e9
    return counted


class Counter(TorchDispatchMode):
    """Adds up what torch says of every operation; its own FlopCounterMode trips over no_grad inside a module."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Run one operation and count it."""
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def altogether(config: Config, one: dict[str, float]) -> float:
    """What one image costs with the lazy phases spread over their intervals."""
    lazy = one["path length"] / (config.path_every * config.path_shrink) + one["r1"] / config.r1_every
    return one["generator"] + one["discriminator"] + lazy


def table(
    config: Config,
    taken: dict[str, float],
    *,
    baseline: dict[str, float],
    flop: dict[str, float],
    peak: float,
    dtype: str,
) -> list[Row]:
    """One row a phase, and one for all of them."""
    every = [dict(figures, altogether=altogether(config, figures)) for figures in (taken, baseline, flop)]
    rows = []
    for name in (*PHASES, "altogether"):
        ours, theirs, work = (figures[name] for figures in every)
        floor = work / peak
        rows.append(Row(name, dtype, 1 / ours, 1 / theirs, theirs / ours, 1 / floor, work, floor / ours))
    return rows


if __name__ == "__main__":
    sys.exit(run(main))
