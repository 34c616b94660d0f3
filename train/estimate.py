"""--dry-run: the whole configuration, the networks, memory and time, without touching anything."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

import core
from train import machine
from train.cli import Asked
from train.config import Config, settings
from train.data import Phantoms
from train.draws import length
from train.growth import Growth
from train.loop import Trainer
from train.networks import build
from train.opening import Plan, glance, plan
from train.reconstruction import Codes

__all__ = ["tell"]

GIB = 2**30

Size = tuple[int, int]


@dataclass(frozen=True)
class Cost:
    """Seconds of each phase for one image, and bytes that its gradients wait on."""

    generator: float
    discriminator: float
    path_length: float
    r1: float
    activations: int

    def seconds(self, config: Config) -> float:
        """Seconds for one image, the lazy regularisers spread over their intervals."""
        lazy = 0.0 if config.wasserstein else self.r1 / config.r1_every
        if config.path_weight:
            lazy += self.path_length / (config.path_every * config.path_shrink)
        return self.generator + self.discriminator + lazy


def tell(asked: Asked) -> int:
    """Print to stdout; returns the exit status. Raises StyloscopeError for what a training would refuse as well."""
    config = asked.config
    device = machine.device(config.device)
    machine.set_up(config, device)
    planned = plan(config)
    channels = glance(planned)
    frame = planned.frame
    stand_in = Phantoms(frame=frame, channels=channels)
    if config.labels and planned.found is not None:
        stand_in.classes, stand_in.labels = planned.found.classes()
        stand_in.heads = (0, planned.found.count)
    init = core.load(config.init) if config.init else None
    found = planned.found
    growth = Growth.of(
        config, frame.size, pictures=None if found is None else round(found.count * (1 - config.holdout))
    )
    networks = build(
        config, size=frame.size, channels=channels, classes=len(stand_in.classes), device=device, init=init
    )
    trainer = Trainer(config, networks, stand_in, device=device, growth=growth)
    why = machine.precision(config, trainer, resumed=False)
    for setting in settings():
        print(f"{setting.name:18} {json.dumps(getattr(config, setting.name))}")
    for name, text in _resolved(planned, trainer).items():
        print(f"{name + ':':18} {text}")
    print(f"{'runs on:':18} {machine.says(device, bfloat16=trainer.bfloat16, why=why)}")
    costs = {size: _measured(trainer, size) for size in growth.sizes}
    ahead = _ahead(trainer)
    print(f"{'memory:':18} {_memory(planned, trainer, costs)}")
    print(f"{'time:':18} {_time(trainer, costs, ahead)}")
    if trainer.networks.g.grows:
        print("\n".join(table(trainer, costs, ahead)))
    print("nothing was written")
    return 0


def table(trainer: Trainer, costs: dict[Size, Cost], ahead: float = 0.0) -> list[str]:
    """The schedule: a line a phase, from and to in kimg, alpha, images a step, images a second and hours.

    `ahead` is seconds for one image of the head start.
    """
    rows = [("size", "phase", "alpha", "batch", "from kimg", "to kimg", "img/s", "hours")]
    end = _end(trainer)

    def row(named: tuple[str, str, str], batch: int, first: int, last: int, seconds: float) -> None:
        first, last = min(first, end), min(last, end)
        numbers = (f"{batch}", f"{first / 1000:g}", f"{last / 1000:g}")
        if last > first:
            rows.append((*named, *numbers, f"{1 / seconds:.3g}", f"{(last - first) * seconds / 3600:.2g}"))

    row(("all", "head start", "1"), trainer.growth.final.batch, 0, trainer.head_start.images, ahead)
    for stage in trainer.growth.stages():
        to = max(end, stage.end) if stage.end == trainer.growth.end and not stage.fading else stage.end
        named = ("fade", "0 to 1") if stage.fading else ("stable", "1")
        seconds = costs[stage.size].seconds(trainer.config)
        row((_shape(stage.size), *named), stage.batch, stage.begin, to, seconds)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _end(trainer: Trainer) -> int:
    return trainer.config.images(auto=trainer.growth.end)


def _measured(trainer: Trainer, size: Size) -> Cost:
    """What a size costs, its newest level blended in where it fades."""
    stage = next(stage for stage in trainer.growth.stages() if stage.size == size)
    with machine.grown(trainer, stage):
        return measure(trainer)


def _ahead(trainer: Trainer) -> float:
    """Seconds for one image of the head start, without finding the codes and teaching the mapping; 0 without one."""
    start = trainer.head_start
    if not start.images:
        return 0.0
    part, real = machine.few(trainer), trainer.reals()
    start.codes = Codes.blank(trainer.networks.g)
    seconds, _ = _timed(trainer, lambda: trainer.reconstruction_loss(part, real), count=length(part))
    start.codes = None
    return seconds


def measure(trainer: Trainer) -> Cost:
    """Time each phase once on a few images; no weights change."""
    part, real = machine.few(trainer), trainer.reals()

    def seconds(phase: Callable[[], tuple[torch.Tensor, object]]) -> tuple[float, int]:
        return _timed(trainer, phase, count=length(part))

    unused = (0.0, 0)
    measured = [
        seconds(lambda: trainer.generator_loss(part)),
        seconds(lambda: trainer.discriminator_loss(part, real)),
        seconds(lambda: trainer.path_penalty(part)) if trainer.config.path_weight else unused,
        unused if trainer.config.wasserstein else seconds(lambda: trainer.r1_penalty(part, real)),
    ]
    times = [one for one, _ in measured]
    return Cost(times[0], times[1], times[2], times[3], max(bytes for _, bytes in measured))


def _timed(trainer: Trainer, phase: Callable[[], tuple[torch.Tensor, object]], *, count: int) -> tuple[float, int]:
    """Seconds of a phase and its gradients, and bytes that these wait on, each for one of `count` images."""
    held = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal held
        held += tensor.numel() * tensor.element_size()
        return tensor

    if trainer.device.type != "cpu":  # the first time, a GPU looks for its ways
        phase()[0].backward()
    machine.wait(trainer.device)
    began = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = phase()[0]
    loss.backward()
    machine.wait(trainer.device)
    for network in (trainer.networks.g, trainer.networks.d):
        network.zero_grad(set_to_none=True)
    return (time.perf_counter() - began) / count, held // count


def _resolved(planned: Plan, trainer: Trainer) -> dict[str, str]:
    g, d, frame = trainer.networks.g, trainer.networks.d, planned.frame
    count = "without end" if planned.found is None else str(planned.found.count)
    return {
        "pictures": f"{count}, most of them {frame.picture[0]}x{frame.picture[1]}",
        "network": f"{_shape(g.size)}, {'gray' if g.channels == 1 else 'RGB'}, from {_shape(g.config.level_sizes[0])}",
        "shown": frame.says,
        "classes": ", ".join(trainer.data.classes) or "none",
        "channels by level": ", ".join(map(str, g.config.filters)),
        "generator": f"{sum(p.numel() for p in g.parameters()):,} parameters",
        "discriminator": f"{sum(p.numel() for p in d.parameters()):,} parameters",
        "loss": "WGAN-GP" if trainer.config.wasserstein else f"logistic, R1 weight {_gammas(trainer)}",
    }


def _gammas(trainer: Trainer) -> str:
    """The weight of R1 at each size."""
    stages = {stage.size: stage for stage in trainer.growth.stages()}
    return ", ".join(
        f"{trainer.config.gamma_for(size, stage.batch, full=trainer.networks.g.size):g}"
        for size, stage in stages.items()
    )


def _shape(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _memory(planned: Plan, trainer: Trainer, costs: dict[Size, Cost]) -> str:
    n = trainer.networks
    g, d = (sum(p.numel() for p in network.parameters()) * 4 for network in (n.g, n.d))
    weights = 5 * g + 4 * d  # weights, gradients, two moments each, and the average of the generator
    data = 0
    if planned.found is not None:
        pixel = 2 if planned.found.wide else 1
        data = planned.found.count * n.g.channels * sum(map(math.prod, {n.g.size, *trainer.growth.sizes})) * pixel
    most, micro = 0, 0
    for stage in trainer.growth.stages():
        with machine.grown(trainer, stage):
            most, micro = max((most, micro), (costs[stage.size].activations * trainer.micro, trainer.micro))
    activations = most
    total = weights + data + activations
    batch = f"{micro} images at once {activations / GIB:.2f}"
    parts = f"networks {weights / GIB:.2f}, {batch}, pictures {data / GIB:.2f}"
    return (
        f"about {total / GIB:.2f} GiB beside Python itself: {parts}; a network file takes {(2 * g + d) / 2**20:.0f} MiB"
    )


def _time(trainer: Trainer, costs: dict[Size, Cost], ahead: float) -> str:
    config, end, first = trainer.config, _end(trainer), trainer.head_start.images
    seconds = min(first, end) * ahead
    for stage in trainer.growth.stages():
        last = end if stage.end == trainer.growth.end else min(stage.end, end)
        seconds += max(0, last - max(first, stage.begin)) * costs[stage.size].seconds(config)
    rate, hours = end / seconds, seconds / 3600
    whole = f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.0f} minutes" if hours > 0.02 else "about a minute"
    return f"about {rate:.3g} images a second as this machine is now, so {whole} for {end / 1000:g} kimg"
