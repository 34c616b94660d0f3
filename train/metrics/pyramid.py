"""What stands in a picture at each scale: Laplacian pyramids, sliced Wasserstein distance and sharpness over them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["descriptors", "laplacian", "level_names", "powers", "sharpness", "sliced_wasserstein", "without_groups"]

TAPS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
COARSEST = 16  # no level is smaller
PATCH = 7
PATCHES = 128  # a picture at most
MOST = 32768  # descriptors a level
ROUNDS, PROJECTIONS = 4, 64
FEWER = 32  # projections that a standard error is worked out over
BATCH = 64


def laplacian(images: Tensor, *, levels: int | None = None) -> list[Tensor]:
    """Bands of pictures [N, C, H, W], finest first; the last is what is left (Burt and Adelson 1983).

    None takes as many levels as leave 16 pixels on the shorter side (Karras et al. 2018, appendix). The bands, each
    doubled and added to the next finer one, give the pictures back.
    """
    count = _levels(images.shape[-2:]) if levels is None else levels
    bands = []
    for _ in range(count - 1):
        smaller = _blur(images)[..., ::2, ::2]
        bands.append(images - _doubled(smaller, images.shape[-2:]))
        images = smaller
    return [*bands, images]


def level_names(size: tuple[int, int]) -> list[str]:
    """Height x width of each level of the pyramid, finest first."""
    return [f"{-(-size[0] // 2**k)}x{-(-size[1] // 2**k)}" for k in range(_levels(size))]


def descriptors(pictures: np.ndarray, *, seed: int) -> list[Tensor]:
    """7 x 7 patches at random places of each level: uint8 [N, C, H, W] -> one [M, C 49] a level, finest first.

    Up to 128 of every picture and 32768 of a level, each channel normalised to mean 0 and deviation 1 over the level.
    """
    random = np.random.default_rng(seed)
    each = max(1, min(PATCHES, MOST // len(pictures)))
    found: list[list[Tensor]] = [[] for _ in range(_levels(pictures.shape[-2:]))]
    for start in range(0, len(pictures), BATCH):
        for level, band in enumerate(laplacian(_floats(pictures[start : start + BATCH]))):
            found[level].append(_patches(band, each, random))
    return [_normalised(torch.cat(parts)) for parts in found]


def sliced_wasserstein(a: list[Tensor], b: list[Tensor], *, seed: int) -> list[float]:
    """Sliced Wasserstein distance of two sets of descriptors, one number a level (Karras et al. 2018).

    The mean, over random directions, of the mean distance between the sorted projections of both sets.
    """
    random = np.random.default_rng(seed)
    return [_sliced(x, y, random) for x, y in zip(a, b, strict=True)]


def without_groups(
    a: list[Tensor], b: list[Tensor], groups_a: np.ndarray, groups_b: np.ndarray, *, seed: int
) -> np.ndarray:
    """`sliced_wasserstein` without each group of pictures in turn, over 32 directions: [G, levels].

    Descriptors as there, and the group of every picture, int64 [N]. What stays is normalised anew, in one for all
    channels, which is near enough.
    """
    random = np.random.default_rng(seed)
    return np.stack([_without(x, y, groups_a, groups_b, random) for x, y in zip(a, b, strict=True)], axis=1)


def sharpness(pictures: np.ndarray) -> np.ndarray:
    """Root mean square of the three finest bands over all pictures, uint8 [N, C, H, W] -> [3], finest first."""
    return np.sqrt(powers(pictures).mean(0))


def powers(pictures: np.ndarray) -> np.ndarray:
    """Mean square of the three finest bands of each picture, uint8 [N, C, H, W] -> [N, 3], finest first."""
    found = []
    for start in range(0, len(pictures), BATCH):
        bands = laplacian(_floats(pictures[start : start + BATCH]), levels=4)[:3]
        found.append(torch.stack([band.double().square().mean(dim=(1, 2, 3)) for band in bands], dim=1))
    return torch.cat(found).numpy()


def _levels(size: tuple[int, ...]) -> int:
    side, count = min(size), 1
    while -(-side // 2) >= COARSEST:
        side, count = -(-side // 2), count + 1
    return count


def _floats(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures)).float().div_(127.5).sub_(1)


def _blur(images: Tensor, *, gain: float = 1.0) -> Tensor:
    """The five binomial taps along both axes, the picture mirrored at its edges."""
    channels = images.shape[1]
    taps = images.new_tensor(TAPS).mul(gain).expand(channels, 1, 1, 5)
    padded = F.pad(images, (2, 2, 2, 2), mode="reflect" if min(images.shape[-2:]) > 2 else "replicate")
    return F.conv2d(F.conv2d(padded, taps, groups=channels), taps.mT, groups=channels)


def _doubled(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Twice the size, cut to `size` where that is odd: zeros between the pixels, then the same taps."""
    sparse = images.new_zeros(*images.shape[:2], *size)
    sparse[..., ::2, ::2] = images
    return _blur(sparse, gain=2.0)


def _patches(band: Tensor, each: int, random: np.random.Generator) -> Tensor:
    """[N, C, h, w] -> [N each, C, 7, 7] at random places, all of them inside."""
    count, _, height, width = band.shape
    side = min(PATCH, height, width)
    top = torch.from_numpy(random.integers(0, height - side + 1, (count, each)))
    left = torch.from_numpy(random.integers(0, width - side + 1, (count, each)))
    step = torch.arange(side)
    rows = (top[..., None] + step)[..., :, None]
    columns = (left[..., None] + step)[..., None, :]
    return band[torch.arange(count)[:, None, None, None], :, rows, columns].flatten(0, 1).movedim(-1, 1)


def _normalised(patches: Tensor) -> Tensor:
    mean = patches.mean(dim=(0, 2, 3), keepdim=True)
    deviation = patches.std(dim=(0, 2, 3), keepdim=True)
    return ((patches - mean) / deviation.clamp(min=1e-8)).flatten(1)


def _sliced(a: Tensor, b: Tensor, random: np.random.Generator) -> float:
    total = 0.0
    # Sets of unequal size are compared at as many quantiles as the smaller one has.
    count = min(len(a), len(b))
    for _ in range(ROUNDS):
        directions = torch.from_numpy(random.standard_normal((a.shape[1], PROJECTIONS)).astype(np.float32))
        directions /= directions.norm(dim=0)
        sides = []
        for part in (a, b):
            ordered = (part @ directions).T.contiguous().sort(dim=1).values
            places = (torch.arange(count) + 0.5) * (len(part) / count)
            sides.append(ordered[:, places.long()])
        total += float((sides[0] - sides[1]).abs().double().mean())
    return total / ROUNDS


def _without(
    a: Tensor, b: Tensor, groups_a: np.ndarray, groups_b: np.ndarray, random: np.random.Generator
) -> list[float]:
    """Of one level. Projections are sorted once: what stays of them without a group is in order as well."""
    directions = torch.from_numpy(random.standard_normal((a.shape[1], FEWER)).astype(np.float32))
    directions /= directions.norm(dim=0)
    sides = [_sides_without(part, groups, directions) for part, groups in ((a, groups_a), (b, groups_b))]
    found = []
    for left in zip(*sides, strict=True):
        count = min(part.shape[1] for part in left)
        even = [part[:, ((torch.arange(count) + 0.5) * (part.shape[1] / count)).long()] for part in left]
        found.append(float((even[0] - even[1]).abs().double().mean()))
    return found


def _sides_without(part: Tensor, groups: np.ndarray, directions: Tensor) -> Iterator[Tensor]:
    """Sorted projections [32, M] of the descriptors outside of each group, normalised anew."""
    ordered = (part @ directions).T.contiguous().sort(dim=1)
    owner = torch.from_numpy(groups).repeat_interleave(len(part) // len(groups))
    places = owner.to(torch.int8)[ordered.indices]
    number = int(groups.max()) + 1
    # A channel is the same numbers of each descriptor, one for each place of its patch.
    channels = part.unflatten(1, (-1, PATCH * PATCH)) if part.shape[1] % PATCH**2 == 0 else part[:, None]
    along = directions.unflatten(0, channels.shape[1:]).sum(1)
    sums, squares = (channels.pow(k).double().mean(2) for k in (1, 2))
    for g in range(number):
        kept = owner != g
        mean = sums[kept].mean(0)
        # Channels change their strength together, or the order would not stay.
        strength = (squares[kept].mean(0) - mean.square()).clamp(min=1e-16).sqrt().mean()
        yield (ordered.values[places != g].view(FEWER, -1) - (mean.float() @ along)[:, None]) / strength.float()
