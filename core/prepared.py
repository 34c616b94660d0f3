"""What every prepared generator is: pictures from ws, one at a time, and on a CPU something kept between them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from core.errors import SettingError
from core.generator import Generator
from core.noise import Noise, checked_noise, of_picture

__all__ = ["Engine", "Keeping", "threads"]


class Engine:
    """A prepared generator. `synthesis` gives pictures; `says` is one line on precision, device and why.

    `warning` is a sentence where this is not the device that was asked for; `steady` is whether float32 pictures come
    out the same to the bit however many threads the caller has.
    """

    steady = True
    warning: str | None = None

    def __init__(self, generator: Generator, *, device: torch.device, precision: str, says: str) -> None:
        self.generator = generator
        self.device = device
        self.precision = precision
        self.says = says

    def synthesis(
        self, ws: Tensor, noise: Noise = "const", size: tuple[int, int] | None = None, alpha: float = 1.0
    ) -> Tensor:
        """ws [N, num_ws, w_dim], N at least 1 -> [N, channels, H, W] float32 on the CPU.

        `size` (height, width) and `alpha` are for networks that grow: one of the generator's sizes, the full one for
        None, and how far its newest level is blended in, from 0 to 1. Raises SettingError for a ws of another shape, an
        unknown noise, and a size or an alpha that the generator does not have.
        """
        wanted = (self.generator.num_ws, self.generator.w_dim)
        shape = tuple(ws.shape)
        if len(shape) != 3 or shape[1:] != wanted or not shape[0]:
            allowed = f"[N, {wanted[0]}, {wanted[1]}], N pictures of {wanted[0]} layers each, N at least 1"
            raise SettingError("the shape of ws", list(shape), allowed)
        level = self.generator.synthesis.level(size, alpha)
        noise = checked_noise(noise)
        if not isinstance(noise, list) or len(ws) == 1:
            return self._pictures(ws, noise, level, float(alpha))
        own = [of_picture(noise, index, count=len(ws)) for index in range(len(ws))]
        alone = [self._pictures(one[None], maps, level, float(alpha)) for one, maps in zip(ws, own, strict=True)]
        return torch.cat(alone)

    def _pictures(self, ws: Tensor, noise: Noise, level: int, alpha: float) -> Tensor:
        """As `synthesis`, everything checked; `level` has the size that was asked for, 0 the coarsest."""
        raise NotImplementedError


class Keeping(Engine):
    """On the CPU: a list of steps, of which only those run again whose input is another than in the picture before."""

    def __init__(self, generator: Generator, *, precision: str, why: str = "") -> None:
        says = f"{precision}, cpu" + (f", {why}" if why else "")
        super().__init__(generator, device=torch.device("cpu"), precision=precision, says=says)
        self.dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.threads: int | None = None  # None: as many as the caller has

    @property
    def steady(self) -> bool:  # type: ignore[override]
        """Two threads add up in another order than one, and what is kept would carry that into the next picture."""
        return self.threads == 1

    @torch.inference_mode()
    def _pictures(self, ws: Tensor, noise: Noise, level: int, alpha: float) -> Tensor:
        with threads(self.threads):
            return torch.cat([self._one(one.float().cpu(), noise, level, alpha) for one in ws])

    def fresh(self, ws: Tensor) -> Tensor:
        """Synthesis that keeps nothing from the picture before."""
        self.forget()
        return self.synthesis(ws)

    def forget(self) -> None:
        """Let go of what is kept from the picture before."""
        raise NotImplementedError

    def _one(self, ws: Tensor, noise: Noise, level: int, alpha: float) -> Tensor:
        """ws [num_ws, w_dim] float32 -> [1, channels, H, W] float32."""
        raise NotImplementedError


_ALONE = threading.Lock()
_alone = {"holders": 0, "before": 1}  # torch's number is the process's: of several who want 1, the last puts it back


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Compute on `count` threads (None: as many as the caller does), and put back what was set.

    From any Python thread. Who asks for 1 has 1 to the end, whoever else comes and goes, since it decides about the
    last bits; any other number is a wish about speed, which gives way.
    """
    before = None if count is None else _begin(count)
    try:
        yield
    finally:
        if count is not None and before is not None:
            _end(count, before)


def _begin(count: int) -> int | None:
    """What the number was before; None where it was left alone."""
    with _ALONE:
        before = torch.get_num_threads()
        if count != 1 and (_alone["holders"] or count == before):
            return None
        if count == 1:
            _alone["before"] = _alone["before"] if _alone["holders"] else before
            _alone["holders"] += 1
        if count != before:
            torch.set_num_threads(count)
        return before


def _end(count: int, before: int) -> None:
    with _ALONE:
        if count != 1 and _alone["holders"]:
            _alone["before"] = before  # for whoever has 1 to put back
            return
        if count == 1:
            _alone["holders"] -= 1
            before = _alone["before"]
        if not _alone["holders"] and torch.get_num_threads() != before:
            torch.set_num_threads(before)
