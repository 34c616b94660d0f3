"""Where pictures come from: the files in a folder or zip, found, named and opened. Nothing is decoded here."""

from __future__ import annotations

import lzma
import os
import re
import threading
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from core.errors import DataError, PictureError

__all__ = ["UNREADABLE", "Folder", "Zip", "classes", "find"]

SUFFIXES = frozenset((
    ".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pcx", ".pgm", ".png", ".pnm",
    ".ppm", ".sgi", ".tga", ".tif", ".tiff", ".webp",
))  # fmt: skip
# What a file that cannot be read makes zipfile and core.pictures raise; RuntimeError is a member with a password.
UNREADABLE = (
    PictureError, OSError, EOFError, ValueError, MemoryError, RuntimeError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
_CLIMBS = re.compile(r"(^[A-Za-z]:)|(^[\\/])|((^|[\\/])\.\.([\\/]|$))")
_OASIS = re.compile(r"keras_png_slices_(seg_)?(train|validate|test)")
_SPLITS = frozenset(("train", "training", "val", "valid", "validate", "validation", "test", "testing"))
_MEMBER_LIMIT = 2 * 1024**3


@dataclass(frozen=True)
class Folder:
    """Pictures below a folder. `names` are paths inside it, with forward slashes, sorted."""

    path: Path
    names: tuple[str, ...]
    says: str = ""

    def open(self, index: int) -> Path:
        """Picture `index` as something core.pictures.read takes."""
        return self.path / self.names[index]


class Zip:
    """Pictures inside a zip, read by several threads at once."""

    def __init__(self, path: Path, names: Sequence[str], says: str = "") -> None:
        self.path = path
        self.names = tuple(names)
        self.says = says
        self._local = threading.local()

    def open(self, index: int) -> bytes:
        """Picture `index` as something core.pictures.read takes. Raises one of UNREADABLE for a broken member."""
        archive = getattr(self._local, "archive", None)
        if archive is None:
            archive = self._local.archive = zipfile.ZipFile(self.path)
        member = archive.getinfo(self.names[index])
        if member.file_size > _MEMBER_LIMIT:
            raise zipfile.BadZipFile(f"the member unpacks to {member.file_size} bytes")
        return archive.read(member)


def find(path: str | Path) -> Folder | Zip:
    """Find the pictures below a folder or inside a zip. Raises DataError naming the path.

    In OASIS's keras_png_slices_data the segmentations are left out, and of the splits the training one is taken.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist; give --data a folder or zip of pictures, or the word phantoms")
    if path.is_dir():
        names, says = _oasis(_below(path))
        found: Folder | Zip = Folder(path, tuple(names), says)
    elif zipfile.is_zipfile(path):
        names, says = _oasis(_members(path))
        found = Zip(path, names, says)
    else:
        raise DataError(f"{path} is neither a folder nor a zip; give --data a folder or zip of pictures")
    if not found.names:
        raise DataError(f"{path} holds 0 pictures; looked for {' '.join(sorted(SUFFIXES))} in it and below")
    return found


def classes(source: Folder | Zip) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the class folders, sorted, and the class of each picture, int64 [N]. Raises DataError.

    A class folder is the first below the source that tells pictures apart: folders that all pictures share, and those
    called train, validate or test, are passed over.
    """
    folders = [
        [part for part in PurePosixPath(name).parts[:-1] if part.lower() not in _SPLITS] for name in source.names
    ]
    shared = os.path.commonprefix(folders)
    loose = [name for name, parts in zip(source.names, folders, strict=True) if len(parts) == len(shared)]
    if loose:
        count = f"{len(loose)} of {len(folders)} pictures lie in none, such as {loose[0]}"
        raise DataError(f"{source.path} has no class folders that hold all pictures ({count}); leave --labels out")
    found = [parts[len(shared)] for parts in folders]
    names = tuple(sorted(set(found)))
    number = {name: index for index, name in enumerate(names)}
    return names, np.array([number[name] for name in found], np.int64)


def _below(path: Path) -> list[str]:
    """Names of the pictures below a folder, links followed, but for one that leads back to a folder it lies in."""
    names = []
    above: dict[str, frozenset[str]] = {str(path): frozenset()}
    for folder, inner, files in os.walk(path, followlinks=True):
        chain = above.pop(folder) | {os.path.realpath(folder)}
        inner[:] = [name for name in inner if os.path.realpath(os.path.join(folder, name)) not in chain]
        above |= {os.path.join(folder, name): chain for name in inner}
        names += [(Path(folder) / file).relative_to(path).as_posix() for file in files]
    return sorted(name for name in names if _is_picture(name))


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [member.filename for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, OSError, NotImplementedError) as wrong:
        raise DataError(f"{path} cannot be read as a zip ({wrong}); make it again") from wrong
    climbing = [name for name in names if _CLIMBS.search(name)]
    if climbing:
        count = f"{len(climbing)} of its {len(names)} members climb out of it, such as {climbing[0]!r}"
        raise DataError(f"{path} cannot be used: {count}; make it again without them")
    return sorted({name for name in names if _is_picture(name)})


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _oasis(names: list[str]) -> tuple[list[str], str]:
    splits: dict[str, list[str]] = {}
    for name in names:
        part = next((part for part in PurePosixPath(name).parts[:-1] if _OASIS.fullmatch(part)), "")
        splits.setdefault(part, []).append(name)
    images = [split for split in splits if split and "_seg_" not in split]
    if not images:
        return names, ""
    chosen = "keras_png_slices_train" if "keras_png_slices_train" in images else sorted(images)[0]
    left = len(names) - len(splits[chosen])
    return splits[
        chosen
    ], f"OASIS slices: {len(splits[chosen])} of {chosen} are used, {left} of other splits and segmentations left out"
