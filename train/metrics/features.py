"""Pictures -> features: by a fixed random network, by the discriminator of the network file, by Inception."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.devices import full_float32, pooling_device
from core.layers import EqualLinear, MinibatchDeviation

__all__ = ["DISCRIMINATOR", "INCEPTION", "RANDOM", "Extractor", "discriminator", "random_network"]

RANDOM, DISCRIMINATOR, INCEPTION = "random", "discriminator", "inception"
CHANNELS = (8, 16, 32, 32)
CELLS = 2  # a side: features know in which quarter of the picture something is
SEED = 1
SCALE = 10.0
BATCH = 16


@dataclass(frozen=True)
class Extractor:
    """`network` takes pictures [N, C, H, W], -1 to 1, cropped, and gives features [N, D]; `says` names it in full."""

    name: str
    says: str
    network: Callable[[Tensor], Tensor]
    device: torch.device

    @torch.no_grad()
    def features(self, pictures: np.ndarray, *, each: Callable[[], None] = lambda: None) -> Tensor:
        """uint8 [N, C, H, W] -> [N, D] float32 on the CPU; `each` is called after every batch."""
        found = []
        for start in range(0, len(pictures), BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(pictures[start : start + BATCH]))
            found.append(self.of(batch.to(self.device).float().div_(127.5).sub_(1)))
            each()
        return torch.cat(found)

    @torch.no_grad()
    def of(self, images: Tensor) -> Tensor:
        """[N, C, H, W] from -1 to 1 -> [N, D] float32 on the CPU."""
        with torch.autocast(self.device.type, enabled=False), full_float32():
            return self.network(images.to(self.device)).float().cpu()


def random_network(channels: int, *, device: torch.device) -> Extractor:
    """A small convolutional network with fixed random weights: it knows nothing, and is the same everywhere.

    Four times: a 3 x 3 convolution with orthogonal filters from numpy's PCG64(1), the absolute value, halving by the
    mean; the first filters sum to zero, so that edges count and brightness does not. The features are the means of
    every level's channels over the quarters of the picture, 352 numbers, times 10, which brings them near 1.
    """
    random = np.random.Generator(np.random.PCG64(SEED))
    weights: list[Tensor] = []
    inputs = channels
    for outputs in CHANNELS:
        weight = _orthogonal(random, outputs, inputs * 9).reshape(outputs, inputs, 3, 3)
        if not weights:
            weight -= weight.mean(axis=(2, 3), keepdims=True)
        weights.append(torch.from_numpy(weight))
        inputs = outputs
    where = pooling_device(device)
    layers = [weight.to(where) for weight in weights]

    def network(x: Tensor) -> Tensor:
        found = []
        for weight in layers:
            x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), weight).abs()
            found.append(F.adaptive_avg_pool2d(x, CELLS).flatten(1))
            x = F.avg_pool2d(x, 2, ceil_mode=True)
        return torch.cat(found, dim=1) * SCALE

    return Extractor(RANDOM, f"fixed random convolutional network, seed {SEED}", network, where)


def discriminator(network: nn.Module, *, crop: Sequence[int], device: torch.device, alpha: float = 1.0) -> Extractor:
    """What enters the last layer of the file's own discriminator, each picture by itself.

    Its minibatch deviation sees groups of one, so that a picture's features do not hang on its neighbours. Pictures in
    the crop are put back into the frame, black around them. `alpha` is for networks that grow.
    """
    judge = copy.deepcopy(network).to(device).float().eval().requires_grad_(False)
    for module in judge.modules():
        if isinstance(module, MinibatchDeviation):
            module.group_size = 1
    epilogue: Any = judge.epilogue
    last = [module for module in epilogue.modules() if isinstance(module, EqualLinear)][-1]
    entering: list[Tensor] = []
    last.register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0]))
    config: Any = judge.config
    height, width = config.size
    top, left = crop[0], crop[1]
    margins = (left, int(width) - left - crop[3], top, int(height) - top - crop[2])

    def features(x: Tensor) -> Tensor:
        entering.clear()
        judge(F.pad(x, margins, value=-1.0), alpha=alpha)
        return entering.pop().flatten(1)

    return Extractor(DISCRIMINATOR, "the discriminator's last features", features, device)


def _orthogonal(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Rows of length 1, at right angles to each other as far as there is room."""
    blocks = []
    for start in range(0, rows, columns):
        count = min(columns, rows - start)
        q, r = np.linalg.qr(random.standard_normal((columns, count)))
        # QR leaves the signs open, which would hang on the library.
        blocks.append((q * np.sign(np.diag(r))).T)
    return np.concatenate(blocks).astype(np.float32)
