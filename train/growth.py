"""How a network grows: images seen -> size, alpha and batch. A pure function of the settings (Karras et al. 2018, 2).

A growing network learns one size after the other. Each size but the first begins with a fade, in which the new level
is blended in with alpha rising from 0 to 1, and goes on with the size alone, which is called stable. Boundaries are
nominal counts of images; a phase ends with the first step past its boundary. A network that does not grow has one.
Before a growth there may be a head start, in which pictures of all sizes are learnt at once.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from core.errors import SettingError
from core.sizes import level_sizes, start_shape
from train.setting import parse_size

__all__ = ["LONGEST", "Growth", "Stage", "grown_sizes", "is_batches", "is_lengths"]

Size = tuple[int, int]

LONGEST = 1e9  # kimg, or passes over the pictures: images are counted exactly, and a float of any size is not
_LENGTH = r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)e?"


class Settings(Protocol):
    """What a growth asks of a training's settings; `train.config.Config`, which stands above, says what they mean."""

    @property
    def arch(self) -> str: ...
    @property
    def batch(self) -> int: ...
    @property
    def batches(self) -> str: ...
    @property
    def fade(self) -> str: ...
    @property
    def stable(self) -> str: ...
    @property
    def grow_from(self) -> str: ...

    def start_for(self, size: Size) -> Size:
        """The start shape of a network of `size`. Raises SettingError."""

    def images(self) -> int:
        """Images to be shown."""

    def head_start(self) -> int:
        """Images of the head start."""

    def alone(self) -> int:
        """Images after it in which the discriminator learns alone."""


@dataclass(frozen=True)
class Stage:
    """Where a growth stands: level 0 is the start shape; size (height, width); alpha is the share of the newest level.

    `begin` and `end` are those of its phase, in images; `fading` where alpha rises in it; `ahead` in the head start.
    """

    level: int
    size: Size
    alpha: float
    batch: int
    begin: int
    fading: bool
    end: int
    ahead: bool = False

    @property
    def says(self) -> str:
        """The size, and alpha where it is below 1, such as `28x24, alpha 0.25`; or that it is the head start."""
        if self.ahead:
            return "head start"
        shown = f"{self.size[0]}x{self.size[1]}"
        return shown if self.alpha >= 1 else f"{shown}, alpha {self.alpha:.2f}"


@dataclass(frozen=True)
class _Phase:
    """A phase as it really runs: its first step begins at `first` images, after `steps` steps."""

    stage: Stage
    first: int
    steps: int


class Growth:
    """All phases of a training, one after the other; the last one goes on for ever."""

    def __init__(self, phases: Sequence[Stage]) -> None:
        """`phases` lie end to end from 0 on, a head start first; each size has one or two."""
        stepped = list(_stepped(phases))
        self._ahead = [phase for phase in stepped if phase.stage.ahead]
        self._phases = stepped[len(self._ahead) :]

    @classmethod
    def single(cls, size: Size, *, level: int, batch: int, end: int) -> Growth:
        """The growth of a network that does not grow."""
        return cls([Stage(level, size, 1.0, batch, 0, False, end)])

    @classmethod
    def of(cls, config: Settings, size: Size, *, pictures: int | None) -> Growth:
        """What the settings say for a network of `size` and `pictures` pictures, None where they are without end.

        Raises SettingError naming the field.
        """
        start, doublings = start_shape(size, config.start_for(size))
        if config.arch != "stylegan":
            return cls.single(size, level=doublings, batch=config.batch, end=config.images())
        grown = grown_sizes(config, size)
        first = doublings + 1 - len(grown)
        batches = _one_a_size("batches", config.batches, grown, [config.batch] * len(grown))
        fades = _lengths("fade", config.fade, grown, pictures)
        stables = _lengths("stable", config.stable, grown, pictures)
        begin = config.head_start()
        phases = [Stage(doublings, size, 1.0, batches[-1], 0, False, begin, ahead=True)] if begin else []
        for number, (one, batch, fade, stable) in enumerate(zip(grown, batches, fades, stables, strict=True)):
            if not fade + stable:
                field = "stable" if number == 0 or fades[number] == 0 else "fade"
                shown = f"{one[0]}x{one[1]}"
                raise SettingError(
                    field, getattr(config, field), f"more than 0 for {shown}, which would be shown no picture otherwise"
                )
            if number == 0:
                stable += config.alone()  # since nothing is generated there in that time
            for length, fading in ((fade, True), (stable, False)):
                if length or (not fading and number == len(grown) - 1):
                    end = begin + length
                    phases.append(Stage(first + number, one, 0.0 if fading else 1.0, batch, begin, fading, end))
                    begin = end
        found = cls(phases)
        found._check_shown(config)
        return found

    @property
    def end(self) -> int:
        """Images at which the last phase is done."""
        return self._phases[-1].stage.end

    @property
    def grows(self) -> bool:
        """Whether there is more than one size, or a fade."""
        return len(self._phases) > 1

    @property
    def final(self) -> Stage:
        """The finished network."""
        return replace(self._phases[-1].stage, alpha=1.0, fading=False)

    def stages(self) -> list[Stage]:
        """Every phase in its order but the head start, alpha as it begins."""
        return [phase.stage for phase in self._phases if phase.stage.end > phase.stage.begin]

    @property
    def sizes(self) -> list[Size]:
        """Every size that is trained on after the head start, coarse to fine."""
        return list(dict.fromkeys(phase.stage.size for phase in self._phases))

    def at(self, images: int) -> Stage:
        """The stage of the step that begins after `images` images."""
        stage = self._at(images).stage
        return _blended(stage, images) if stage.fading else stage

    def reached(self, images: int) -> Stage:
        """What the networks have come to after `images` images: the stage of the last step, alpha as it is by now.

        At the end of a size that is the finished size, where `at` is already the next one with alpha near 0. In the
        head start it is the finished network, as well as that draws by then.
        """
        if self.is_ahead(images):
            return self.final
        phase = self._phases[0]
        for later in self._phases:
            if later.first < images and later.stage.end > later.stage.begin:
                phase = later
        if images >= self.end:
            return self.final
        return _blended(phase.stage, images) if phase.stage.fading else phase.stage

    def is_ahead(self, images: int) -> bool:
        """Whether the growth has a head start, and the step that led to `images` was one of it."""
        return bool(self._ahead) and images <= self._phases[0].first

    def is_done(self, images: int) -> bool:
        """Whether the step that led to `images` was the last one of its size, but for the finished network's."""
        return (
            0 < images < self.end and not self.is_ahead(images) and self.at(images).level != self.reached(images).level
        )

    def ends(self) -> list[int]:
        """Images after the last step of each size but the finished one and the head start, which end nothing."""
        pairs = itertools.pairwise(self._phases)
        return [after.first for phase, after in pairs if phase.stage.level != after.stage.level]

    def fade(self, size: Size) -> tuple[int, int] | None:
        """Images at which the fade of a size begins and ends, None where it has none."""
        return next(((one.begin, one.end) for one in self.stages() if one.fading and one.size == size), None)

    def step(self, images: int) -> int:
        """The number of the step that begins after `images` images, from 0."""
        phase = self._at(images)
        return phase.steps + (images - phase.first) // phase.stage.batch

    def _check_shown(self, config: Settings) -> None:
        """Raise SettingError where all phases of a size are over before a step of it could begin."""
        for size, alike in itertools.groupby(self._phases, key=lambda phase: phase.stage.size):
            phases = list(alike)
            last = phases[-1].stage
            if phases[0].first >= last.end:
                field = "fade" if last.fading else "stable"
                reason = f"more for {_shape(size)}, which would be shown no picture: the step before goes past its end"
                raise SettingError(field, getattr(config, field), reason)

    def _at(self, images: int) -> _Phase:
        for phase in [*self._ahead, *self._phases]:
            if images < phase.stage.end:
                return phase
        return self._phases[-1]


def _stepped(phases: Sequence[Stage]) -> Iterator[_Phase]:
    """When each phase really begins, since a step of the one before may go past the boundary."""
    images, steps = 0, 0
    for stage in phases:
        yield _Phase(stage, images, steps)
        taken = max(0, -((images - stage.end) // stage.batch))
        images, steps = images + taken * stage.batch, steps + taken


def _blended(stage: Stage, images: int) -> Stage:
    """alpha = (images - begin of the fade) / length of the fade, 1 once that is past."""
    alpha = min(1.0, max(0.0, (images - stage.begin) / (stage.end - stage.begin)))
    return replace(stage, alpha=alpha)


# --- settings ----------------------------------------------------------------------------------------------------


def is_lengths(value: object) -> bool:
    """Whether a value is lengths of phases."""
    if not isinstance(value, str) or re.fullmatch(rf"{_LENGTH}(,{_LENGTH})*", value) is None:
        return False
    return all(float(part.removesuffix("e")) <= LONGEST for part in value.split(","))


def is_batches(value: object) -> bool:
    """Whether a value is batches, or auto."""
    return isinstance(value, str) and (
        value == "auto" or re.fullmatch(r"[1-9][0-9]{0,4}(,[1-9][0-9]{0,4})*", value) is not None
    )


def grown_sizes(config: Settings, size: Size) -> list[Size]:
    """Every size that a growing network of `size` is trained on, coarse to fine. Raises SettingError."""
    sizes = level_sizes(*start_shape(size, config.start_for(size)))
    return sizes[_first_level(config.grow_from, sizes) :]


def _first_level(text: str, sizes: list[Size]) -> int:
    """The level of the first size trained on. Raises SettingError."""
    if text == "auto":
        return 0
    asked = parse_size(text, field_name="grow_from")
    if asked in sizes:
        return sizes.index(asked)
    shown = ", ".join(_shape(size) for size in sizes)
    reason = f"one of {shown}, the sizes that a network of {_shape(sizes[-1])} grows through"
    if asked[0] * asked[1] > sizes[-1][0] * sizes[-1][1]:
        reason += "; a network does not shrink"
    raise SettingError("grow_from", text, reason)


def _one_a_size(field: str, text: str, sizes: list[Size], auto: list[int]) -> list[int]:
    if text == "auto":
        return auto
    parts = text.split(",")
    if len(parts) != len(sizes):
        raise SettingError(field, text, _counted(sizes))
    return [int(part) for part in parts]


def _lengths(field: str, text: str, sizes: list[Size], pictures: int | None) -> list[int]:
    """Images of the phases of one kind, one a size; a single number is for all sizes, but the first has no fade."""
    parts = text.split(",")
    if len(parts) == 1:
        parts = ["0" if field == "fade" and number == 0 else text for number in range(len(sizes))]
    if len(parts) != len(sizes):
        raise SettingError(field, text, f"one number for all sizes, or {_counted(sizes)}")
    found = [_images(field, part, pictures) for part in parts]
    if field == "fade" and found[0]:
        raise SettingError(field, text, f"0 for {_shape(sizes[0])}, the first size, which has none to fade from")
    return found


def _images(field: str, text: str, pictures: int | None) -> int:
    """kimg, or with an e behind the number epochs, as images."""
    number = float(text.removesuffix("e"))
    if text.endswith("e"):
        if pictures is None:
            raise SettingError(field, text, "a number of kimg: phantoms have no end, so there are no epochs of them")
        return math.ceil(number * pictures)
    return round(number * 1000)


def _counted(sizes: list[Size]) -> str:
    shown = ", ".join(_shape(size) for size in sizes)
    return f"{len(sizes)} numbers, one for each size trained on: {shown}"


def _shape(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
