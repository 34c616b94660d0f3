"""A generator made ready for looking."""

from __future__ import annotations

import torch
from torch import Tensor

from core.generator import Generator
from core.stylegan2 import Noise

__all__ = ["Engine", "prepare"]


class Engine:
    """A prepared generator: `synthesis(ws, noise)` and one line, `says`, of what it runs as."""

    def __init__(self, generator: Generator, *, device: str, precision: str) -> None:
        self.generator = generator
        self.device = device
        self.precision = precision
        self.says = f"{precision}, {device}"

    @torch.inference_mode()
    def synthesis(self, ws: Tensor, noise: Noise = "const") -> Tensor:
        """ws [N, num_ws, w_dim] -> [N, channels, H, W] float32."""
        return self.generator.synthesis(ws, noise)


def prepare(generator: Generator, *, device: str = "auto", precision: str = "auto") -> Engine:
    """Make a generator ready for looking."""
    return Engine(generator, device="cpu", precision="float32")
