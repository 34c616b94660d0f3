"""What a set of pictures is, judged by the heads of its files, before any is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core import people, pictures, sources
from core.errors import DataError
from core.manifest import Manifest
from core.sources import judge, ten
from train import dicom
from train.items import ArrayItem, Item, PictureItem, StackItem
from train.slicing import Slicing, is_square
from train.volumes import VolumeItem, remarks

__all__ = ["Survey", "judge", "survey", "ten"]

Size = tuple[int, int]


@dataclass(frozen=True)
class Survey:
    """What the heads of all files say."""

    source: sources.Folder | sources.Zip
    items: tuple[Item, ...]
    picture: Size  # the most common shape, height x width
    shapes: int  # how many different shapes
    gray: bool  # whether every head says gray
    wide: bool  # whether any picture has more than 8 bits
    broken: Mapping[str, str]  # files that cannot be read -> why
    says: tuple[str, ...] = ()
    manifest: Manifest = Manifest()

    @property
    def count(self) -> int:
        """How many pictures there are, at most: empty slices and broken files are found when they are read."""
        return sum(item.count for item in self.items)

    @property
    def files(self) -> int:
        """How many files there are, those that cannot be read included."""
        return sum(len(item.indices) for item in self.items) + len(self.broken)

    def who(self, item: Item) -> str | None:
        """Who is on the pictures of an item: as the set, the file or its name says; a volume is of one person."""
        said = self.manifest.people.get(item.name) or item.who or people.person(item.name)
        return said or (item.name if item.count > 1 and not isinstance(item, ArrayItem) else None)

    @property
    def resampled(self) -> dict[str, tuple[float, float]]:
        """Height and width, as their files have them, of pixels that were not square, by the name of the scan."""
        return _stretched(self.items)

    def classes(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Names of the classes, and that of each item, int64: as dataset.json or the folders say. Raises DataError."""
        said = self.manifest
        if not said.labels:
            return sources.classes([item.name for item in self.items], path=self.source.path)
        missing = [item.name for item in self.items if item.name not in said.labels]
        if missing:
            raise DataError(
                f"{self.source.path} names no class for {len(missing)} pictures, such as {missing[0]}; "
                f"complete its {sources.MANIFEST} or leave --labels out"
            )
        return said.classes, np.array([said.labels[item.name] for item in self.items], np.int64)


def survey(
    path: str | Path, *, slicing: Slicing | None = None, only: str = "", each: Callable[[], None] = lambda: None
) -> Survey:
    """Look at the head of every picture below `path`. Raises DataError.

    `each` is called after each file, so that a caller can show progress or stop by raising.
    """
    source = sources.find(path, only=only)
    items, broken, says = _items(source, slicing or Slicing(), each=each)
    shapes: Counter[Size] = Counter()
    for item in items:
        pixels = item.header.size[0] * item.header.size[1]
        if pixels > pictures.PIXEL_LIMIT:
            limit = f"at most {pictures.PIXEL_LIMIT} can be read"
            raise DataError(f"{path}: {item.name} has {pixels} pixels, and {limit}; shrink it or take it out")
        shapes[item.header.size] += item.count
    judge(path, broken, sum(len(item.indices) for item in items) + len(broken))
    if not any(shapes.values()):
        why = "; ".join(says) or "no slice is in the range of --slices"
        raise DataError(f"{path} has no picture among its {len(source.names)} files ({why}); give other --data")
    # Of shapes that are equally common the larger one, so that the answer does not hang on the order of names.
    common = max(shapes, key=lambda size: (shapes[size], size[0] * size[1], size))
    gray, wide = all(item.header.gray for item in items), any(item.header.wide for item in items)
    manifest = Manifest.of(source)
    return Survey(source, items, common, len(shapes), gray, wide, broken, tuple(says), manifest)


def _items(
    source: sources.Folder | sources.Zip, slicing: Slicing, *, each: Callable[[], None]
) -> tuple[tuple[Item, ...], dict[str, str], list[str]]:
    """Everything to read, the files that cannot be and why, and what a person should know, one sentence each."""
    items, scans, volumes, mixed = list[Item](), list[dicom.Scan](), list[VolumeItem](), list[str]()
    broken = dict[str, str]()
    for index, name in enumerate(source.names):
        each()
        kind = source.kind(index)
        try:
            if kind == "dicom":
                scans.append(dicom.look(source, index))
            elif kind == "volume":
                volumes.append(VolumeItem.at(source, index, slicing))
            elif kind == "array":
                items.append(ArrayItem.at(source, index, slicing))
            else:
                head = pictures.read_header(source.open(index), name=name)
                stack = len(head.pages) > 1
                mixed += [name] if head.left_out else []
                items.append(StackItem.at(source, index, slicing, head) if stack else PictureItem(source, index, head))
        except sources.UNREADABLE as wrong:
            broken[name] = sources.reason(wrong)
    series, says = dicom.group(source, scans, slicing)
    if mixed:
        what = f"{mixed[0]} has" if len(mixed) == 1 else f"{len(mixed)} TIFF files, such as {mixed[0]}, have"
        says = [*says, f"{what} pages of several sizes or kinds, of which the first alone is taken; save them apart"]
    stretched = _stretched([*volumes, *series])
    if stretched:
        name, (height, width) = next(iter(stretched.items()))
        says = [
            *says,
            f"pixels of {len(stretched)} scans are not square, such as {height:.3g} x {width:.3g} mm in {name}; "
            "they are resampled to squares of the finer side",
        ]
    return tuple(sorted([*items, *volumes, *series], key=lambda item: item.name)), broken, says + remarks(volumes)


def _stretched(items: Sequence[Item]) -> dict[str, tuple[float, float]]:
    """Height and width of the pixels in the files of those scans whose pixels are not square."""
    scans = [item for item in items if isinstance(item, VolumeItem | dicom.SeriesItem)]
    return {item.name: item.pixel for item in scans if item.pixel is not None and not is_square(item.pixel)}
