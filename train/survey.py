"""What a set of pictures is, judged by the heads of its files, before any is decoded."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np

from core import people, pictures, sources
from core.errors import DataError
from core.manifest import Manifest
from core.sources import judge, ten
from train import dicom
from train.items import ArrayItem, Item, PictureItem, StackItem
from train.slicing import Slicing, darkness, is_square
from train.volumes import VolumeItem, remarks

__all__ = ["Survey", "judge", "survey", "ten"]

Size = tuple[int, int]

# Folders of one person's visits, series and kinds of pictures: whose they are says the folder above.
_INNER = re.compile(
    r"(ses|session|visit|tp|time|timepoint|scan|series|run|month|year)[-_ ]?\d{1,2}"
    r"|(19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d.*"
    r"|anat|func|dwi|dti|perf|pet|ct|mri?|baseline|bl|followup|t[12]w?|pdw?|flair|raw|nii|nifti",
    re.IGNORECASE,
)
# A folder with more volumes than this, and than there are folders, is a class or a whole set rather than a person.
_MOST_VOLUMES = 8


class Depth(Protocol):
    """Of a picture that was read: the number of its item, and what a Shot says of its levels."""

    @property
    def number(self) -> int:
        """Which of the items it comes from."""
        ...

    @property
    def brightest(self) -> int:
        """The greatest number of a file of 16 bits that is taken as it is, else 0."""
        ...

    @property
    def cut(self) -> bool:
        """Whether a window that is asked for changes it."""
        ...


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
    people: Mapping[str, str | None] = field(default_factory=dict)  # the name of an item -> who is on it

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
        return self.people.get(item.name)

    @property
    def resampled(self) -> dict[str, tuple[float, float]]:
        """Height and width, as their files have them, of pixels that were not square, by the name of the scan."""
        return _stretched(self.items)

    def dark(self, read: Iterable[Depth]) -> list[str]:
        """That 16-bit pictures without a unit are dark, and what to do about it; empty where they are not."""
        if self.manifest.intensity is not None or self.manifest.intensities:
            return []
        every = list(read)
        plain = [one for one in every if one.brightest]
        said = darkness(
            max((one.brightest for one in plain), default=0),
            gray=all(self.items[one.number].header.gray for one in plain),
            others=any(one.cut and not one.brightest for one in every),
        )
        return [said] if said else []

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
    who, about = _people(items, manifest)
    return Survey(source, items, common, len(shapes), gray, wide, broken, (*says, *about), manifest, who)


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
                single = PictureItem(source, index, head, slicing=slicing)
                items.append(StackItem.at(source, index, slicing, head) if stack else single)
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
    found = tuple(sorted([*items, *volumes, *series], key=lambda item: item.name))
    return found, broken, [*says, *remarks(volumes), *_outside(found, slicing)]


def _outside(items: Sequence[Item], slicing: Slicing) -> list[str]:
    """That volumes lie outside --slices altogether; none does of shares."""
    scans = [item for item in items if not isinstance(item, PictureItem)]
    outside = [item.name for item in scans if not item.count]
    if not outside:
        return []
    return [
        f"{len(outside)} of {len(scans)} volumes have no slice in --slices {slicing.slices}, such as {outside[0]}; "
        "give a range that they reach, or shares such as 25%-75%"
    ]


def _people(items: Sequence[Item], manifest: Manifest) -> tuple[dict[str, str | None], list[str]]:
    """Who is on the pictures of each item, by its name, and what a person should know about it, a sentence each.

    What the set, the file and the name say comes first. Where they say nothing the volumes of one folder are of one
    person, and each other volume, series, stack and, of several, array is of a person of its own.
    """
    same, says = _one_id(items)
    known = {
        item.name: manifest.people.get(item.name) or (None if same else item.who) or people.person(item.name)
        for item in items
    }
    volumes = [item for item in items if isinstance(item, VolumeItem)]
    folders, shared = _folders(volumes, [item.name for item in volumes if not known[item.name]])
    if shared:
        says.append(
            f"volumes that lie in one folder, such as {shared[0]}, count as one person there; "
            "name files or folders by person, such as sub-01, where that is wrong"
        )
    arrays = [item.name for item in items if isinstance(item, ArrayItem) and item.count > 1]
    if len(arrays) > 1 and not all(known[name] for name in arrays):
        says.append(
            f"each of {len(arrays)} arrays, such as {arrays[0]}, counts as one person; "
            "save them as one where pictures of one person lie in several"
        )
    found = dict[str, str | None]()
    for item in items:
        alone = item.count > 1 and (len(arrays) > 1 or not isinstance(item, ArrayItem))
        found[item.name] = known[item.name] or folders.get(item.name) or (item.name if alone else None)
    several = [item.name for item in items if not isinstance(item, PictureItem)]
    if len(several) > 1 and len(set(found.values())) == 1 and None not in found.values():
        found |= {name: name for name in several}
        if not same:
            says.append(
                f"all {len(several)} volumes and series are of one person by their names, so each counts as a person; "
                "name files or folders by person, such as sub-01, where they are of several"
            )
    return found, says


def _one_id(items: Sequence[Item]) -> tuple[bool, list[str]]:
    """Whether all series have one patient ID, as tools write that take names out (ANONYMOUS, 0), and words on it."""
    ids = Counter(item.who for item in items if item.who is not None)
    if len(ids) != 1 or ids.total() == 1:
        return False, []
    return True, [
        f"the patient ID is the same in all {ids.total()} DICOM series, so their files and folders say who is on "
        "them, and each of which these say nothing counts as a person; name folders by person, such as sub-01"
    ]


def _folders(volumes: Sequence[VolumeItem], names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Of volumes of nobody known the folder that stands for a person, and those folders that hold several volumes.

    The top of the set, which is the folder that all volumes lie in, is none, and no folder that holds a whole group.
    """
    top = len(os.path.commonprefix([PurePosixPath(item.name).parts[:-1] for item in volumes]))
    places = dict[str, str]()
    for name in names:
        parts = PurePosixPath(name).parts[:-1]
        last = next((k for k in range(len(parts), top, -1) if not _INNER.fullmatch(parts[k - 1])), len(parts))
        if last > top:
            places[name] = "/".join(parts[:last])
    counts = Counter(places.values())
    most = max(_MOST_VOLUMES, len(counts))
    return (
        {name: folder for name, folder in places.items() if counts[folder] <= most},
        [folder for folder, count in counts.items() if 1 < count <= most],
    )


def _stretched(items: Sequence[Item]) -> dict[str, tuple[float, float]]:
    """Height and width of the pixels in the files of those scans whose pixels are not square."""
    scans = [item for item in items if isinstance(item, VolumeItem | dicom.SeriesItem)]
    return {item.name: item.pixel for item in scans if item.pixel is not None and not is_square(item.pixel)}
