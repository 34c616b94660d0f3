"""What a training takes: measured for --dry-run, which touches nothing, and guessed where one begins."""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.nn import functional

import core
from core.errors import SettingError
from train import machine
from train.cli import Asked
from train.config import Config, settings
from train.console import say
from train.data import Phantoms
from train.draws import length
from train.growth import Growth, Stage
from train.loop import Trainer
from train.networks import build
from train.opening import Plan, glance, plan
from train.reconstruction import FEWEST, IMAGES_A_STEP, STEPS, Codes

__all__ = ["doubts", "mapping_steps", "phases", "tell"]

GIB = 2**30
LONG = 24.0  # hours on a CPU after which a person is told what is made for one
# Multiply-adds of an image at a size, as measured on CPUs: those of its convolutions, so many for each number that a
# layer passes on, and so many for every step; an image of the head start takes a share of them.
PASSING, ALWAYS, AHEAD = 350.0, 3e7, 0.27
SLOWER = 19.0  # a step takes so many times what one convolution takes for a multiply-add, less in bfloat16
BFLOAT16 = 0.65
HELD = {"stylegan2": 74.0, "stylegan": 54.0}  # bytes that gradients wait on for each number passed on, in float32
HELD_BY_PATHS = 140.0

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
    init = core.load(config.init) if config.init else None
    planned = plan(config, follows=asked.follows, like=init.generator.config.filters if init is not None else ())
    config = planned.config
    channels = glance(planned)
    frame = planned.frame
    stand_in = Phantoms(frame=frame, channels=channels)
    if config.labels and planned.found is not None:
        stand_in.classes, stand_in.labels = planned.found.classes()
        stand_in.heads = (0, planned.found.count)
    found = planned.found
    growth = Growth.of(
        config, frame.size, pictures=None if found is None else round(found.count * (1 - config.holdout))
    )
    networks = build(
        config, size=frame.size, channels=channels, classes=len(stand_in.classes), device=device, init=init
    )
    trainer = Trainer(config, networks, stand_in, device=device, growth=growth, say=say)
    why = machine.precision(config, trainer, resumed=False)
    for setting in settings():
        print(f"{setting.name:18} {json.dumps(getattr(config, setting.name))}")
    for name, text in _resolved(planned, trainer).items():
        print(f"{name + ':':18} {text}")
    print(f"{'runs on:':18} {machine.says(device, bfloat16=trainer.bfloat16, why=why)}")
    costs = {size: _measured(trainer, size) for size in growth.sizes}
    ahead = _ahead(trainer)
    waiting = [(costs[stage.size].activations, _at_once(trainer, stage)) for stage in growth.stages()]
    print(f"{'memory:':18} {_memory(planned, trainer, _peak(waiting))}")
    print(f"{'disk:':18} {_disk(trainer)}")
    seconds = _seconds(trainer, costs, ahead)
    print(f"{'time:':18} {_time(trainer, seconds)}")
    more = _weights(trainer) + _pixels(planned, trainer)
    for sentence in _doubts(trainer, hours=seconds / 3600, waiting=waiting, more=more):
        print(f"{'note:':18} {sentence}")
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
        return machine.fitting(trainer, lambda: measure(trainer))


def _part(trainer: Trainer) -> slice:
    """The pictures that are measured: few on a CPU; all that are computed at once on a GPU, which few leave idle."""
    if trainer.device.type == "cpu":
        return machine.few(trainer)
    return slice(trainer.mine.start, trainer.mine.start + trainer.micro)


def _ahead(trainer: Trainer) -> float:
    """Seconds for one image of the head start, without finding the codes and teaching the mapping; 0 without one."""
    start = trainer.head_start
    if not start.images:
        return 0.0
    start.codes = Codes.blank(trainer.networks.g)

    def measured() -> float:
        part, real = _part(trainer), trainer.reals()
        return _timed(trainer, lambda: trainer.reconstruction_loss(part, real), count=length(part))[0]

    try:
        return machine.fitting(trainer, measured)
    finally:
        start.codes = None


def measure(trainer: Trainer) -> Cost:
    """Time each phase once on some images; no weights change."""
    part, real = _part(trainer), trainer.reals()

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
    machine.forget(trainer)
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


def _weights(trainer: Trainer) -> int:
    """Bytes of weights, gradients, two moments each, and the average of the generator."""
    g, d = _parameters(trainer)
    return 5 * g + 4 * d


def _parameters(trainer: Trainer) -> tuple[int, int]:
    """Bytes of the generator and of the discriminator."""
    g, d = (sum(p.numel() for p in one.parameters()) * 4 for one in (trainer.networks.g, trainer.networks.d))
    return g, d


def _pixels(planned: Plan, trainer: Trainer) -> int:
    """Bytes of the pictures in all sizes that are trained on."""
    if planned.found is None:
        return 0
    g, pixel = trainer.networks.g, 2 if planned.found.wide else 1
    return planned.found.count * g.channels * sum(map(math.prod, {g.size, *trainer.growth.sizes})) * pixel


def _at_once(trainer: Trainer, stage: Stage) -> int:
    """How many images are computed at once at a stage."""
    with machine.grown(trainer, stage):
        return trainer.micro


def _memory(planned: Plan, trainer: Trainer, held: int) -> str:
    weights, data = _weights(trainer), _pixels(planned, trainer)
    micro = max(_at_once(trainer, stage) for stage in trainer.growth.stages())
    parts = f"networks {weights / GIB:.2f}, {micro} images at once {held / GIB:.2f}, pictures {data / GIB:.2f}"
    g, d = _parameters(trainer)
    return (
        f"about {(weights + data + held) / GIB:.2f} GiB beside Python itself: {parts}; "
        f"a network file takes {(2 * g + d) / 2**20:.0f} MiB"
    )


def _files(trainer: Trainer) -> int:
    """How many network files --snapshot, --metrics and --keep leave, at most."""
    config, end = trainer.config, _end(trainer)
    ends = len(trainer.growth.ends())
    count = math.floor(end / (config.tick * 1000 * config.snapshot)) + ends + 1
    if config.metrics:
        count += math.floor(end / (config.every * 1000))
    count = min(count, end // 1000 + 1)  # one bears the number of whole kimg
    return min(count, config.keep + ends) if config.keep else count


def _disk(trainer: Trainer) -> str:
    """What the run's folder comes to: network files, and the state, of which there are two while it is saved."""
    (g, d), count = _parameters(trainer), _files(trainer)
    files, state = count * (2 * g + d), 2 * (4 * g + 3 * d)
    parts = f"network files {files / GIB:.2f} ({count} by --tick, --snapshot and --keep), state {state / GIB:.2f}"
    return f"up to {(files + state) / GIB:.2f} GiB in the run's folder: {parts} while one takes the place of another"


def _seconds(trainer: Trainer, costs: dict[Size, Cost], ahead: float) -> float:
    config, end, first = trainer.config, _end(trainer), trainer.head_start.images
    seconds = min(first, end) * ahead
    for stage in trainer.growth.stages():
        last = end if stage.end == trainer.growth.end else min(stage.end, end)
        seconds += max(0, last - max(first, stage.begin)) * costs[stage.size].seconds(config)
    return seconds


def _time(trainer: Trainer, seconds: float) -> str:
    end, hours = _end(trainer), seconds / 3600
    whole = f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.0f} minutes" if hours > 0.02 else "about a minute"
    return f"about {end / seconds:.3g} images a second as this machine is now, so {whole} for {end / 1000:g} kimg"


# --- guesses, where nothing is measured --------------------------------------------------------------------------


def phases(trainer: Trainer) -> list[tuple[int, float]]:
    """(images at its end, work of one image in it) of the head start, and of each size to the end of the training.

    Work is in multiply-adds; it says how the phases compare, whatever the machine.
    """
    end, growth = _end(trainer), trainer.growth
    stages = [(stage.end, _work(trainer, stage.level)) for stage in growth.stages()]
    stages[-1] = max(end, stages[-1][0]), stages[-1][1]
    if trainer.head_start.images:
        stages.insert(0, (trainer.head_start.images, AHEAD * _work(trainer, growth.final.level)))
    before = [0, *(last for last, _ in stages)]
    return [(min(last, end), work) for first, (last, work) in zip(before, stages, strict=False) if first < end]


def mapping_steps(trainer: Trainer) -> int:
    """Steps in which the mapping learns before a head start."""
    return min(STEPS, max(FEWEST, trainer.head_start.images // IMAGES_A_STEP))


def _work(trainer: Trainer, level: int) -> float:
    total = ALWAYS
    levels = list(zip(trainer.networks.g.config.filters, trainer.networks.g.config.level_sizes, strict=True))
    for number, (channels, size) in enumerate(levels[: level + 1]):
        before = levels[number - 1][0] / 4 if number else channels
        total += math.prod(size) * channels * (9 * (channels + before) + PASSING)
    return total


def doubts(trainer: Trainer) -> list[str]:
    """What should be known before a training begins on a CPU: that it will take days, or more memory than there is."""
    if trainer.device.type != "cpu" or trainer.processes.count > 1:
        return []
    work, first = 0.0, 0
    for last, one in phases(trainer):
        work += (last - first) * one
        first = last
    seconds = work * SLOWER * _multiply_add() * (BFLOAT16 if trainer.bfloat16 else 1.0)
    waiting = [(_held(trainer, stage), _at_once(trainer, stage)) for stage in trainer.growth.stages()]
    return _doubts(trainer, hours=seconds / 3600, waiting=waiting, more=_weights(trainer))


def _held(trainer: Trainer, stage: Stage) -> int:
    """Bytes that the gradients of a stage wait on for one image."""
    config, g = trainer.config, trainer.networks.g.config
    passed = sum(c * math.prod(size) for c, size in list(zip(g.filters, g.level_sizes, strict=True))[: stage.level + 1])
    each = HELD_BY_PATHS if config.path_weight else HELD[config.arch]
    return round(passed * each / (2 if trainer.bfloat16 else 1))


def _peak(waiting: Sequence[tuple[int, int]], *, most: int | None = None) -> int:
    """Bytes held at the worst stage, where no more than `most` images are computed at once."""
    return max(each * (count if most is None else min(count, most)) for each, count in waiting)


def _multiply_add() -> float:
    """Seconds that this machine takes now for one of a convolution's."""
    images, weights, took = torch.ones(4, 64, 32, 32), torch.ones(64, 64, 3, 3), math.inf
    with torch.no_grad():
        for _ in range(5):
            began = time.perf_counter()
            functional.conv2d(images, weights, padding=1)
            took = min(took, time.perf_counter() - began)
    return took / (images.numel() * weights[0].numel())


def _doubts(trainer: Trainer, *, hours: float, waiting: Sequence[tuple[int, int]], more: int) -> list[str]:
    """`waiting` are the bytes held for one image at each stage, and its images at once; `more` are all other bytes."""
    said, free = [], _free()
    if trainer.device.type != "cpu":
        return []
    if hours > LONG:
        said.append(
            f"this takes about {hours:.0f} hours on this CPU, and {_disk(trainer).partition(':')[0]}; add "
            f"--preset {_for_a_cpu(trainer)}, made for a CPU, and --keep 5, which keeps five network files"
        )
    held = _peak(waiting)
    if free is not None and held + more > free:
        allowed = _micro_batches(trainer.config, below=max(count for _, count in waiting))
        fits = [one for one in allowed if more + _peak(waiting, most=one) <= free]
        advice = f"give --micro-batch {fits[-1]}" if fits else "take a smaller --size or --channel-base"
        need = f"this takes about {(held + more) / GIB:.1f} GiB of memory beside Python itself"
        said.append(f"{need}, and {free / GIB:.1f} GiB are free; {advice}")
    return said


def _for_a_cpu(trainer: Trainer) -> str:
    """The preset that suits such networks and pictures best, of those made for a CPU."""
    if trainer.config.arch == "stylegan":
        return "brain-progressive"
    return "brain-half" if trainer.data.channels == 1 else "avatars"


def _micro_batches(config: Config, *, below: int) -> list[int]:
    """The images that may be computed at once, fewer than `below`, in ascending order."""
    allowed = []
    for micro in range(config.group, below, config.group):
        with suppress(SettingError):
            replace(config, micro_batch=micro).check()
            allowed.append(micro)
    return allowed


def _free() -> int | None:
    """Bytes of memory that programs can have now, or that there are; None where the system does not tell."""
    with suppress(OSError, ValueError):
        found = re.search(r"MemAvailable: +([0-9]+) kB", Path("/proc/meminfo").read_text(encoding="ascii"))
        if found is not None:
            return int(found[1]) * 1024
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None
