"""One projection: where it starts, and the steps from there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core import pictures
from core.devices import wait
from explorer import features
from explorer.frozen import Frozen, Space, shrunk
from explorer.projection import FEWEST_STEPS, MOST_STEPS, Found, Moment, Wish

__all__ = ["Descent", "Place", "Report", "picture_in"]

_RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
_FEWEST_SEEN = 64
_CLASSES = 3  # that are tried in earnest where the class is searched for
_SEARCH = 0.25  # of the seconds, at most, that the search for them takes
_SHARE = 0.4  # of the steps for W where W+ follows
_RATE, _RATE_PLUS, _RATE_NOISE = 0.1, 0.05, 0.05
_FEATURES = 0.2
_PRIOR = 2e-3
_HOLD = 5e-3
_NOISE = 1.0  # against picture in the noise maps

Stop = Callable[[], bool]


@dataclass(frozen=True)
class Place:
    """Where a descent stands: v [1, w_dim] or [1, num_ws, w_dim], and noise maps."""

    v: Tensor
    noise: list[Tensor] | None = None


class Report:
    """Counts steps over a projection and its yardstick."""

    def __init__(self, progress: Callable[[Moment], None] | None) -> None:
        self.progress = progress
        self.done = 0


class Descent:
    """One projection: a start, then steps."""

    def __init__(
        self,
        of: Frozen,
        target: Tensor,
        wish: Wish,
        *,
        report: Report,
        stop: Stop,
        began: float,
        shares: Callable[[int | None], int] = lambda label: 1,
        shown: bool = True,
    ) -> None:
        """`shares` of the steps' time are taken by this one and its yardstick, once the class is known."""
        self.shown = shown
        self.of, self.target, self.wish, self.report, self.stop = of, target, wish, report, stop
        self.began, self._shares, self.shares = began, shares, 1
        self.steps = wish.steps
        self.taken = 0
        self.stopped = False
        with torch.no_grad():
            self.levels = features.pyramid(target)
            self.seen = of.look(target)

    def run(self) -> Found:
        space, v = self._start()
        self.shares = self._shares(space.label)
        if self.wish.seconds is not None:
            self._plan(space, v)
        plus = self.wish.space == "w+"
        first = round(_SHARE * self.steps) if plus or self.wish.noise_maps else self.steps
        place = self._descend(space, Place(v), steps=first, rate=_RATE, stage="one w")
        if (plus or self.wish.noise_maps) and not self.stopped:
            rows = self.of.rows(place.v) if plus else place.v
            noise = self._own_noise() if self.wish.noise_maps else None
            rest = self.steps - first
            stage = "a w for each layer" if plus else "noise maps"
            place = self._descend(
                space, Place(rows.clone(), noise), steps=rest, rate=_RATE_PLUS, stage=stage, hold=place.v
            )
        return self._found(space, place)

    # --- start -----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _start(self) -> tuple[Space, Tensor]:
        """The class and the v [1, w_dim] to start from: the best of the nearest sample, the average and regressions."""
        of, classes = self.of, self.of.generator.num_classes
        labels: list[int | None] = [None]
        if classes:
            labels = [self.wish.label] if self.wish.label is not None else self._classes(classes)
        best: tuple[float, Space, Tensor] | None = None
        for label in labels:
            if best is not None and self.stop():
                break
            space = of.space(label)
            for v in self._candidates(space, max(_FEWEST_SEEN, of.count() // len(labels))):
                loss = float(self._loss(space, Place(v), prior=_PRIOR, narrow=of.narrow))
                if best is None or loss < best[0]:
                    best = loss, space, v
        assert best is not None
        return best[1], best[2].clone()

    def _classes(self, classes: int) -> list[int | None]:
        """The few classes that have a sample closest to the picture, of as many as could be looked at in time."""
        each = max(2, self.of.count() // classes)
        wanted = shrunk(self.target)
        end = math.inf if self.wish.seconds is None else self.began + _SEARCH * self.wish.seconds
        away: list[float] = []
        for label in range(classes):
            if away and (self.stop() or time.monotonic() > end):
                break
            away.append(float((self.of.glimpse(label, each) - wanted).square().mean(dim=1).min()))
        return list(np.argsort(away, kind="stable")[:_CLASSES].tolist())

    def _candidates(self, space: Space, count: int) -> list[Tensor]:
        known, seen = self.of.drawn(space, count)
        wanted = shrunk(self.target)
        nearest = int((seen - wanted).square().mean(dim=1).argmin())
        found = [known[nearest : nearest + 1], torch.zeros_like(known[:1])]
        mean = seen.mean(dim=0)
        # Solved in float64 on the host: MPS has no float64.
        inside, asked = (seen - mean).cpu().double(), (wanted - mean).cpu().double()
        products = inside @ inside.T
        weight = float(products.diagonal().mean())
        if weight <= 0:
            return found
        unit, places = torch.eye(count, dtype=torch.float64), known.cpu().double()
        for ridge in _RIDGES:
            duals = torch.linalg.solve(products + ridge * weight * unit, places)
            found.append((asked @ inside.T @ duals).to(known))
        return found

    def _plan(self, space: Space, v: Tensor) -> None:
        """As many steps as fit into the seconds that are left, by the measure of a few."""
        assert self.wish.seconds is not None
        place = Place(v.clone().requires_grad_(True))
        for tried in range(4):
            if tried == 1:
                wait(self.of.device)
                start = time.monotonic()
            self._loss(space, place, prior=_PRIOR, narrow=self.of.narrow).backward()
        wait(self.of.device)
        each = (time.monotonic() - start) / 3
        left = self.wish.seconds - (time.monotonic() - self.began)
        self.steps = int(min(MOST_STEPS, max(FEWEST_STEPS, left / each / self.shares / 1.1)))

    # --- descent ---------------------------------------------------------------------------------------------------

    def _loss(self, space: Space, place: Place, *, prior: float, narrow: bool, hold: Tensor | None = None) -> Tensor:
        image = self.of.draw(self.of.rows(space.w(place.v)), place.noise, narrow=narrow)
        # A level of 0 or 255 stands for all beyond it, too.
        beyond = ((image < -1) & (self.target <= -1)) | ((image > 1) & (self.target >= 1))
        image = torch.where(beyond, self.target, image)
        levels = features.pyramid(image)
        loss = torch.stack([(a - b).square().mean() for a, b in zip(levels, self.levels, strict=True)]).mean()
        loss = loss + _FEATURES * features.apart(self.of.look(image, narrow=narrow), self.seen)
        loss = loss + prior * place.v.square().mean()
        if hold is not None and place.v.ndim == 3:
            loss = loss + _HOLD * (place.v - hold[:, None]).square().mean()
        if place.noise is not None:
            loss = loss + _NOISE * picture_in(place.noise)
        return loss

    def _descend(
        self, space: Space, place: Place, *, steps: int, rate: float, stage: str, hold: Tensor | None = None
    ) -> Place:
        v = place.v.clone().requires_grad_(True)
        noise = None if place.noise is None else [one.clone().requires_grad_(True) for one in place.noise]
        moved = Place(v, noise)
        groups: list[dict[str, Any]] = [{"params": [v], "lr": rate, "top": rate}]
        if noise is not None:
            groups.append({"params": noise, "lr": _RATE_NOISE, "top": _RATE_NOISE})
        optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99))
        for step in range(steps):
            if self.stop():
                self.stopped = True
                break
            share = step / steps
            for group in optimiser.param_groups:
                group["lr"] = group["top"] * min(1.0, 2 * (1 - share)) * min(1.0, (step + 1) / 10)
            # Rounding moves the picture by a level or so, so the last steps run in float32.
            narrow = self.of.narrow and share < 0.8
            optimiser.zero_grad(set_to_none=True)
            self._loss(space, moved, prior=_PRIOR * (1 - share), narrow=narrow, hold=hold).backward()
            optimiser.step()
            if noise is not None:
                _normalise(noise)
            self._tell(space, moved, stage=stage)
        return Place(v.detach(), None if noise is None else [one.detach() for one in noise])

    def _tell(self, space: Space, place: Place, *, stage: str) -> None:
        self.taken += 1
        self.report.done += 1
        if self.report.progress is not None:
            total = self.report.done + self.steps - self.taken + (self.shares - 1) * self.steps
            self.report.progress(Moment(self.report.done, total, stage, self.shown, lambda: self._found(space, place)))

    def picture(self, space: Space, place: Place) -> Tensor:
        """What a place shows, in float32."""
        with torch.no_grad():
            return self.of.draw(self.of.rows(space.w(place.v)), place.noise)

    def _own_noise(self) -> list[Tensor]:
        maps = self.of.generator.synthesis.noise_maps("const", 1, self.of.generator.w_avg)
        shapes = self.of.generator.noise_shapes
        each = len(maps) // len(shapes)
        return [one.detach().clone() for one in maps[::each] if one is not None]

    def _found(self, space: Space, place: Place) -> Found:
        image = self.picture(space, place)
        ws = self.of.rows(space.w(place.v))[0].detach().float().cpu().numpy()
        noise = None
        if place.noise is not None:
            noise = tuple(one.detach().float().cpu().numpy().reshape(one.shape[-2:]) for one in place.noise)
        return Found(
            ws=np.ascontiguousarray(ws),
            noise=noise,
            picture=pictures.to_8bit(image)[0],
            target=pictures.to_8bit(self.target)[0],
            label=space.label,
            distance=self.of.distance(image, self.target),
            steps=self.taken,
            seconds=time.monotonic() - self.began,
            stopped=self.stopped,
        )


# --- parts -------------------------------------------------------------------------------------------------------


def picture_in(noise: list[Tensor]) -> Tensor:
    """How much neighbours in noise maps are alike, at every scale (Karras et al. 2020, equation 5 of appendix D)."""
    found = []
    for one in noise:
        scaled = one.reshape(1, 1, *one.shape[-2:])
        while True:
            for axis in (2, 3):
                found.append((scaled * scaled.roll(1, dims=axis)).mean().square())
            if min(scaled.shape[-2:]) < 16:
                break
            # The mean of four numbers of deviation 1 has 1/2.
            scaled = 2 * F.avg_pool2d(scaled, 2)
    return torch.stack(found).sum()


@torch.no_grad()
def _normalise(noise: list[Tensor]) -> None:
    for one in noise:
        if one.numel() > 1:
            one.sub_(one.mean()).div_(one.std().clamp_min(1e-6))
