"""Inception as the field uses it for FID and KID, from a weights file on this machine. Nothing is fetched."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import DataError, StyloscopeError
from train.metrics.features import INCEPTION, Extractor

__all__ = ["find", "load", "wanting"]

SIDE = 299
# The names under which torch-fidelity and pytorch-fid keep the weights of the FID paper's network.
NAMES = ("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth")
_HOW = (
    "FID and KID need Inception weights on this machine: give --inception PATH of a file that torch-fidelity or "
    "pytorch-fid has kept, or measure without them"
)


def find(path: str | Path | None = None) -> Path:
    """The weights: the file at `path`, or for None the one that torch-fidelity keeps. Raises DataError."""
    if path is not None:
        if not Path(path).is_file():
            raise DataError(f"there are no Inception weights at {path}; {_HOW}")
        return Path(path)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    found = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if found is None:
        raise DataError(f"no Inception weights were found in {folder}; {_HOW}")
    return found


def wanting(path: str | Path | None = None) -> str:
    """Why FID and KID cannot be had with the weights that `find` finds, as a sentence; "" where they can."""
    try:
        load(find(path), device=torch.device("cpu"))
    except (StyloscopeError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError,
            ValueError) as wrong:  # fmt: skip
        return " ".join(str(wrong).split())
    return ""


def load(path: Path, *, device: torch.device) -> Extractor:
    """The 2048 features before the last layer (Szegedy et al. 2016; Heusel et al. 2017). Raises DataError.

    Weights with 1008 classes are the FID paper's, whose pooling differs from torchvision's; those with 1000 are
    torchvision's own, and their figures are no FID that others would compare with.
    """
    weights = _read(path)
    classes = len(weights["fc.weight"])
    network = _build(classes, path)
    try:
        missing = network.load_state_dict(weights, strict=False).missing_keys
    except RuntimeError as wrong:  # another network's weights, of the same names and other shapes
        raise DataError(f"{path} does not hold Inception weights; {_HOW}") from wrong
    if missing:
        raise DataError(f"{path} does not hold Inception weights: {missing[0]} is missing; {_HOW}")
    network = network.to(device).eval().requires_grad_(False)
    published = classes == 1008

    def features(x: Tensor) -> Tensor:
        x = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x
        # The published network takes (level - 128) / 128.
        levels = x * 127.5 + 127.5
        found: list[Tensor] = []
        hook = network.avgpool.register_forward_hook(lambda module, inputs, output: found.append(output))
        network((_resized(levels) - 128) / 128)
        hook.remove()
        return found[0].flatten(1)

    kind = "Inception of the FID paper" if published else "Inception of torchvision (no published FID)"
    return Extractor(INCEPTION, f"{kind}, {path.name}", features, device)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as wrong:
        raise DataError(f"{path} cannot be read as Inception weights; {_HOW}") from wrong
    fine = isinstance(weights, dict) and all(torch.is_tensor(value) for value in weights.values())
    if not fine or "fc.weight" not in weights or weights["fc.weight"].shape not in ((1000, 2048), (1008, 2048)):
        raise DataError(f"{path} does not hold Inception weights; {_HOW}")
    return {name: value for name, value in weights.items() if not name.startswith("AuxLogits.")}


def _build(classes: int, path: Path) -> Any:
    """torchvision's network; for the published weights with the pooling of the network that they were taken from."""
    try:
        models: Any = importlib.import_module("torchvision.models.inception")
    except (ImportError, RuntimeError) as wrong:
        raise DataError(f"{path} needs the package torchvision ({wrong}); pip install torchvision") from wrong
    network = models.Inception3(num_classes=classes, aux_logits=False, transform_input=False, init_weights=False)
    if classes == 1008:
        for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7b"):
            _pool(getattr(network, name), "mean")
        _pool(network.Mixed_7c, "max")
    return network


def _pool(block: Any, kind: str) -> None:
    """Exchange the pooling of a block's last branch: the mean without the zeros of the margin, or the largest."""

    def pool(module: Any, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return (block.pooled,)

    def before(module: Any, inputs: tuple[Tensor]) -> None:
        x = inputs[0]
        if kind == "mean":
            block.pooled = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        else:
            block.pooled = F.max_pool2d(x, 3, stride=1, padding=1)

    # branch_pool is the convolution behind the pooling: what enters it is put in place of what the block pooled.
    block.register_forward_pre_hook(before)
    block.branch_pool.register_forward_pre_hook(pool)


def _resized(images: Tensor) -> Tensor:
    """To 299 x 299 as TensorFlow 1 did it, pixel k at k n / 299, bilinear, without antialiasing."""
    for axis in (-2, -1):
        side = images.shape[axis]
        places = torch.arange(SIDE, device=images.device, dtype=torch.float32) * (side / SIDE)
        low = places.floor().long().clamp(max=side - 1)
        high = (low + 1).clamp(max=side - 1)
        part = (places - low).reshape(-1, 1) if axis == -2 else places - low
        images = images.index_select(axis, low) * (1 - part) + images.index_select(axis, high) * part
    return images
