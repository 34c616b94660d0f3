"""Small pictures of every kind, and small trainings."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from core.frame import Frame
from train.config import Config
from train.data import Phantoms
from train.loop import Trainer
from train.networks import build

KINDS = ("L", "RGB", "RGBA", "P", "LA", "1", "I;16", "CMYK")
TINY = {"size": "16", "channel_base": 64, "channel_max": 8, "z_dim": 8, "w_dim": 8, "mapping_layers": 1, "batch": 4}


def levels(size: tuple[int, int], *, seed: int = 0) -> np.ndarray:
    """A soft gray blob, uint8 [height, width]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0 : size[0], 0 : size[1]] / max(size)
    spot = np.exp(-20 * ((y - random.uniform(0.3, 0.6)) ** 2 + (x - random.uniform(0.3, 0.6)) ** 2))
    return (spot * random.uniform(150, 250)).astype(np.uint8)


def picture(kind: str, size: tuple[int, int] = (24, 20), *, seed: int = 0) -> Image.Image:
    """A picture of a Pillow mode."""
    gray = levels(size, seed=seed)
    if kind == "I;16":
        return Image.fromarray(gray.astype(np.uint16) * 257)
    image = Image.fromarray(gray)
    if kind in ("RGB", "RGBA", "CMYK", "P"):
        colour = Image.fromarray(np.stack([gray, gray // 2, 255 - gray], axis=2))
        return colour.quantize(32) if kind == "P" else colour.convert(kind)
    return image.convert(kind)


def save(path: Path, image: Image.Image) -> Path:
    """Save below folders that may be missing; CMYK as TIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def folder(path: Path, *, count: int = 8, kinds: tuple[str, ...] = ("L",), size: tuple[int, int] = (24, 20)) -> Path:
    """`count` pictures, of each kind in turn."""
    for index in range(count):
        kind = kinds[index % len(kinds)]
        suffix = "tif" if kind == "CMYK" else "png"
        save(path / f"{index:03}.{suffix}", picture(kind, size, seed=index))
    return path


def archive(path: Path, members: dict[str, bytes]) -> Path:
    """A zip of names and bytes."""
    with zipfile.ZipFile(path, "w") as out:
        for name, data in members.items():
            out.writestr(name, data)
    return path


def png(kind: str = "L", size: tuple[int, int] = (24, 20), *, seed: int = 0) -> bytes:
    """A picture as the bytes of a PNG."""
    out = io.BytesIO()
    picture(kind, size, seed=seed).save(out, "PNG")
    return out.getvalue()


def trainer(*, bfloat16: bool = False, device: str = "cpu", **changes: object) -> Trainer:
    """A tiny training on phantoms, in float32."""
    config = Config.read({**TINY, "data": "phantoms", **changes})
    on = torch.device(device)
    data = Phantoms(frame=Frame.of((16, 16), size=(16, 16), fit="native"), channels=1)
    networks = build(config, size=(16, 16), channels=1, device=on)
    return Trainer(config, networks, data, device=on, bfloat16=bfloat16)
