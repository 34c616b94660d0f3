"""Where pictures come from: the files in a folder or zip, found, named and opened. Nothing is decoded here."""

from __future__ import annotations

import fnmatch
import lzma
import os
import re
import threading
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import numpy as np

from core.errors import DataError, PictureError

__all__ = ["MANIFEST", "SUFFIXES", "UNREADABLE", "Folder", "Zip", "classes", "find", "judge", "reason", "ten"]

MANIFEST = "dataset.json"
SUFFIXES = frozenset((
    ".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pcx", ".pgm", ".png", ".pnm",
    ".ppm", ".sgi", ".tga", ".tif", ".tiff", ".webp",
))  # fmt: skip
VOLUMES = (".nii", ".nii.gz", ".mgh", ".mgz")
PAIRS = (".img", ".img.gz")  # Analyze and NIfTI in two files; the other one is .hdr
DICOM = (".dcm", ".dicom", ".ima")
# What a file that cannot be read makes zipfile and our readers raise; RuntimeError is a member with a password.
UNREADABLE = (
    PictureError, OSError, EOFError, ValueError, MemoryError, RuntimeError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
_CLIMBS = re.compile(r"(^[A-Za-z]:)|(^[\\/])|((^|[\\/])\.\.([\\/]|$))")
_OASIS = re.compile(r"keras_png_slices_(seg_)?(train|validate|test)")
_SPLITS = frozenset(("train", "training", "val", "valid", "validate", "validation", "test", "testing"))
_UNREADABLE_SHARE = 20
_MEMBER_LIMIT = 2 * 1024**3
# A zip that unpacks to more than this, and to more than 200 times its own size, was made to do harm.
_BOMB_BYTES, _BOMB_RATIO = 4 * 1024**3, 200


@dataclass(frozen=True)
class Folder:
    """Pictures below a folder. `names` are paths inside it, with forward slashes, sorted."""

    path: Path
    names: tuple[str, ...]
    says: str = ""
    partners: dict[str, str] = field(default_factory=dict)  # of a volume in two files, the one with the head

    def open(self, index: int) -> Path:
        """Picture `index` as something core.pictures.read takes."""
        return self.path / self.names[index]

    def stream(self, index: int | str) -> BinaryIO:
        """A file, to be read from its beginning; by its name for one that is no picture. Raises OSError."""
        return (self.path / (self.names[index] if isinstance(index, int) else index)).open("rb")

    def length(self, index: int) -> int:
        """How many bytes a file has."""
        return self.open(index).stat().st_size

    def partner(self, index: int) -> str:
        """The file with the head of a volume in two files."""
        return self.partners[self.names[index]]

    def kind(self, index: int) -> str:
        """picture, array, volume or dicom."""
        return _kind(self.names[index])

    def stamp(self, index: int) -> str:
        """Changes when the file does; a link that leads nowhere is a file that cannot be read, like others."""
        try:
            found = self.open(index).stat()
        except OSError:
            return "gone"
        return f"{found.st_size} {found.st_mtime_ns}"


class Zip:
    """Pictures inside a zip, read by several threads at once. `members` are the names as the zip spells them."""

    def __init__(
        self,
        path: Path,
        names: Sequence[str],
        says: str = "",
        *,
        partners: dict[str, str] | None = None,
        members: dict[str, str] | None = None,
    ) -> None:
        self.path = path
        self.names = tuple(names)
        self.says = says
        self.partners = partners or {}
        self._members = members or {}
        self._local = threading.local()

    def open(self, index: int) -> bytes:
        """Picture `index` as something core.pictures.read takes. Raises one of UNREADABLE for a broken member."""
        archive, member = self._member(self.names[index])
        return archive.read(member)

    def stream(self, index: int | str) -> BinaryIO:
        """A member, to be read from its beginning; by its name for one that is no picture."""
        archive, member = self._member(self.names[index] if isinstance(index, int) else index)
        return cast(BinaryIO, archive.open(member))

    def length(self, index: int) -> int:
        """How many bytes a member unpacks to."""
        return self._member(self.names[index])[1].file_size

    def partner(self, index: int) -> str:
        """The member with the head of a volume in two files."""
        return self.partners[self.names[index]]

    def kind(self, index: int) -> str:
        """picture, array, volume or dicom."""
        return _kind(self.names[index])

    def stamp(self, index: int) -> str:
        """Changes when the member does."""
        member = self._member(self.names[index])[1]
        return f"{member.file_size} {member.CRC}"

    def _member(self, name: str) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
        archive = getattr(self._local, "archive", None)
        if archive is None:
            archive = self._local.archive = zipfile.ZipFile(self.path)
        member = archive.getinfo(self._members.get(name, name))
        if member.file_size > _MEMBER_LIMIT:
            raise zipfile.BadZipFile(f"the member unpacks to {member.file_size} bytes")
        return archive, member


def find(path: str | Path, *, only: str = "", most: int | None = None, bare: bool = True) -> Folder | Zip:
    """Find the pictures below a folder, inside a zip, or in one file. Raises DataError naming the path.

    `only` holds patterns such as `*T1w*` with commas between, one of which a name has to match. In OASIS's
    keras_png_slices_data the segmentations are left out, and of the splits the training one is taken. More than `most`
    files are refused, and without `bare` a file without a suffix is not opened to see whether it is DICOM.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist; name a folder or zip of pictures that is there")
    found: Folder | Zip
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{path} is neither a folder nor a zip; name a folder or zip of pictures")
    if path.is_dir():
        every = _below(path, most)
        names, says, partners = _wanted(every, Folder(path, tuple(every)), only, bare)
        found = Folder(path, tuple(names), says, partners)
    elif zipfile.is_zipfile(path):
        members = _members(path)
        _few(path, len(members), most)
        names, says, partners = _wanted(list(members), Zip(path, list(members), members=members), only, bare)
        found = Zip(path, names, says, partners=partners, members=members)
    elif _kind(path.name) and (path.suffix or _is_dicom(Folder(path.parent, (path.name,)), 0)):
        head = _head_beside(path)
        found = Folder(path.parent, (path.name,), partners={path.name: head} if head else {})
    elif path.suffix.lower() == ".zip":
        raise DataError(f"{path} is no whole zip, perhaps cut off on its way here; get it or make it again")
    else:
        raise DataError(f"{path} is neither a folder nor a zip; name a folder or zip of pictures")
    if not found.names:
        looked = " ".join(sorted({*SUFFIXES, *VOLUMES, *PAIRS, *DICOM, ".npy"}))
        named = f" with a name like {only}" if only else ""
        raise DataError(f"{path} holds 0 pictures{named}; looked for {looked} in it and below")
    return found


def reason(wrong: BaseException) -> str:
    """Why a file cannot be read, in short, without the advice that an error ends with."""
    return " ".join(str(wrong).split()).partition(";")[0][:160] or type(wrong).__name__


def judge(path: str | Path, broken: Mapping[str, str], total: int) -> None:
    """Raise DataError, with the first one's reason, where more than 1 in 20 files cannot be read, or all of them."""
    if len(broken) * _UNREADABLE_SHARE <= total:
        return
    count = f"{len(broken)} of {total} pictures cannot be read, more than 1 in {_UNREADABLE_SHARE}"
    names = sorted(broken)
    raise DataError(f"{path}: {count}: {ten(names)}, since {broken[names[0]]}; mend them or take them out")


def ten(names: Sequence[str]) -> str:
    """Up to ten names, and how many more there are."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def classes(names: Sequence[str], *, path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the class folders, sorted, and the class of each picture, int64 [N]. Raises DataError.

    A class folder is the first below the source that tells pictures apart: folders that all pictures share, and those
    called train, validate or test, are passed over.
    """
    folders = [[part for part in PurePosixPath(name).parts[:-1] if part.lower() not in _SPLITS] for name in names]
    shared = os.path.commonprefix(folders)
    if shared and all(parts == shared for parts in folders):
        raise DataError(f"{path} has one class folder alone, {shared[-1]}; leave --labels out")
    loose = [name for name, parts in zip(names, folders, strict=True) if len(parts) == len(shared)]
    if loose:
        count = f"{len(loose)} of {len(folders)} pictures lie in none, such as {loose[0]}"
        raise DataError(f"{path} has no class folders that hold all pictures ({count}); leave --labels out")
    found = [parts[len(shared)] for parts in folders]
    kinds = tuple(sorted(set(found)))
    number = {name: index for index, name in enumerate(kinds)}
    return kinds, np.array([number[name] for name in found], np.int64)


def _few(path: Path, count: int, most: int | None) -> None:
    if most is not None and count > most:
        raise DataError(f"{path} holds more than {most} files; name the folder or zip of the pictures alone")


def _below(path: Path, most: int | None) -> list[str]:
    """Names of the files below a folder, links followed, but for one that leads back to a folder it lies in.

    Pipes, sockets and devices, which may never end, are no files.
    """
    names = []
    above: dict[str, frozenset[str]] = {str(path): frozenset()}
    for folder, inner, files in os.walk(path, followlinks=True):
        chain = above.pop(folder) | {os.path.realpath(folder)}
        inner[:] = [name for name in inner if os.path.realpath(os.path.join(folder, name)) not in chain]
        above |= {os.path.join(folder, name): chain for name in inner}
        paths = [Path(folder) / file for file in files]
        names += [one.relative_to(path).as_posix() for one in paths if one.is_file() or not one.exists()]
        _few(path, len(names), most)
    return sorted(names)


def _members(path: Path) -> dict[str, str]:
    """Names with forward slashes -> names as the zip spells them: some programs on Windows write backslashes."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, OSError, NotImplementedError) as wrong:
        raise DataError(f"{path} cannot be read as a zip ({wrong}); make it again") from wrong
    climbing = [member.filename for member in members if _CLIMBS.search(member.filename)]
    if climbing:
        count = f"{len(climbing)} of its {len(members)} members climb out of it, such as {climbing[0]!r}"
        raise DataError(f"{path} cannot be used: {count}; make it again without them")
    total, own = sum(member.file_size for member in members), max(1, path.stat().st_size)
    if total > _BOMB_BYTES and total > _BOMB_RATIO * own:
        much = f"it unpacks to {total / 2**30:.0f} GiB, {total // own} times its own size"
        raise DataError(f"{path} cannot be used: {much}; unpack it yourself if you trust it")
    return {member.filename.replace("\\", "/"): member.filename for member in members}


def _wanted(every: list[str], source: Folder | Zip, only: str, bare: bool) -> tuple[list[str], str, dict[str, str]]:
    """Of all names those to read, a sentence about those left out, and the other halves of volumes in two files."""
    patterns = [pattern.strip() for pattern in only.split(",") if pattern.strip()]
    there = {name.lower(): name for name in every}
    names, partners = list[str](), dict[str, str]()
    for index, name in enumerate(every):
        kind = _kind(name)
        if not kind or (patterns and not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)):
            continue
        if kind == "dicom" and not name.lower().endswith(DICOM) and not (bare and _is_dicom(source, index)):
            continue
        if name.lower().endswith(PAIRS):
            head = there.get(re.sub(r"\.img(\.gz)?$", r".hdr\1", name.lower()))
            if head is None:
                continue
            partners[name] = head
        names.append(name)
    names, says = _oasis(sorted(names))
    return names, says, partners


def _kind(name: str) -> str:
    """picture, array, volume or dicom; empty for what is none by its name. A name without a suffix may be DICOM."""
    path = PurePosixPath(name)
    lower, suffix = path.name.lower(), path.suffix.lower()
    if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
        return ""
    if suffix in SUFFIXES:
        return "picture"
    if suffix == ".npy":
        return "array"
    if lower.endswith((*VOLUMES, *PAIRS)):
        return "volume"
    # OAI's files are called 001, 002; other archives name them by numbers with dots between.
    bare = (not suffix or suffix[1:].isdigit()) and lower != "dicomdir"
    return "dicom" if suffix in DICOM or bare else ""


def _is_dicom(source: Folder | Zip, index: int) -> bool:
    try:
        with source.stream(index) as stream:
            return stream.read(132)[128:] == b"DICM"
    except UNREADABLE:
        return False


def _head_beside(path: Path) -> str | None:
    """The .hdr of a single .img, whatever its case."""
    if not path.name.lower().endswith(PAIRS):
        return None
    wanted = re.sub(r"\.img(\.gz)?$", r".hdr\1", path.name.lower())
    found = next((one.name for one in path.parent.iterdir() if one.name.lower() == wanted), None)
    if found is None:
        raise DataError(f"{path} lacks its other half, {wanted}; put both into one folder")
    return found


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
