"""The work itself, in parts that are each written whole, so that a killed command goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from tqdm import tqdm

from core import pictures, sources
from core.errors import DataError, OutputError
from core.files import sweep, usable_folder, writing
from core.frame import Frame
from core.people import stem
from train.data import WORKING_BYTES
from train.items import Item, Shot
from train.opening import bar
from train.prepare import labels, report
from train.prepare.record import Record
from train.slicing import Slicing
from train.survey import Survey, judge, survey

__all__ = ["Asked", "prepare"]

FORMAT = 5
PART_PICTURES = 256
_PART = "part.json"


@dataclass(frozen=True)
class Asked:
    """What a command line asks for. Pictures stay as they are for `size` None and `fit` native."""

    source: Path
    dest: Path
    slicing: Slicing
    only: str = ""
    labels: str = ""
    size: tuple[int, int] | None = None
    fit: str = "native"

    def frame(self, found: Survey) -> Frame | None:
        """The frame that the pictures are put into, whose shown part is kept of them; None where they stay."""
        if self.size is None and self.fit == "native":
            return None
        return Frame.of(found.picture, size=self.size, fit=self.fit)


@dataclass(frozen=True)
class _Batch:
    """Items that make one part; its key changes with their files and with the settings."""

    first: int
    items: tuple[Item, ...]
    key: str

    @property
    def file(self) -> str:
        return f"{self.first:08}-{self.key}.zip"


def prepare(asked: Asked) -> dict[str, Any]:
    """Make the zip and its contact sheet; returns the report. Raises DataError, OutputError.

    Nothing is under DEST's name until all is done; until then parts lie in the folder DEST.parts, and a repeated
    command takes those that are still right.
    """
    _usable(asked.dest)
    with bar("looking at the files") as progress:
        found = survey(asked.source, slicing=asked.slicing, only=asked.only, each=lambda: _forward(progress))
    classes, numbers = labels.classes(found, asked.labels)
    frame = asked.frame(found)
    batches = list(_batches(found, [asdict(asked.slicing), *([asdict(frame)] if frame else [])]))
    key = _hash([FORMAT, [batch.key for batch in batches], list(classes), [] if numbers is None else numbers.tolist()])
    before = _finished(asked.dest, key=key)
    if before is not None:
        return before
    folder = usable_folder(asked.dest.with_name(asked.dest.name + ".parts"))
    sweep(folder)
    records, broken = list[Record](), dict(found.broken)
    with bar("preparing the pictures", total=found.count) as progress:
        for batch in batches:
            if not (folder / batch.file).is_file():
                _make(folder / batch.file, batch, frame)
            part, bad = _part(folder / batch.file)
            records += part
            broken |= bad
            progress.update(sum(item.count for item in batch.items))
    judge(asked.source, broken, found.files)
    if not records:
        raise DataError(f"{asked.source} has only empty slices; give other --slices or another --window")
    names = _names(records)
    said = report.make(found, records, names, fitted=frame, broken=sorted(broken), classes=classes, numbers=numbers)
    manifest = report.manifest(found, records, names, said=said, classes=classes, numbers=numbers, key=key)
    _join(asked.dest, folder, batches, names, manifest)
    report.sheet(asked.dest, names, picture=report.shape(said))
    shutil.rmtree(folder, ignore_errors=True)
    return {**said, "dest": str(asked.dest), "sheet": str(report.sheet_path(asked.dest))}


def _forward(progress: tqdm) -> None:
    progress.update()


def _usable(dest: Path) -> None:
    if dest.is_dir():
        raise OutputError(f"{dest} is a folder; name a zip")
    usable_folder(dest.parent)


def _finished(dest: Path, *, key: str) -> dict[str, Any] | None:
    """The report of the zip that is there, if it was made of the same files alike; OutputError for another one."""
    if not dest.exists():
        return None
    try:
        with zipfile.ZipFile(dest) as archive:
            said = json.loads(archive.read(sources.MANIFEST))
        if said["key"] == key:
            if not report.sheet_path(dest).exists():
                report.sheet(dest, list(said["sources"]), picture=report.shape(said["report"]))
            return {**said["report"], "dest": str(dest), "sheet": str(report.sheet_path(dest))}
    except (*sources.UNREADABLE, KeyError, TypeError):
        pass_on = "is no zip of this command"
    else:
        pass_on = "was made from other files or with other settings"
    raise OutputError(f"{dest} is there already and {pass_on}; name another zip or move it away")


def _batches(found: Survey, settings: list[dict[str, Any]]) -> Iterator[_Batch]:
    """Items in their order, some 256 pictures together, a volume never cut."""
    waiting, pictured, first = list[Item](), 0, 0
    for number, item in enumerate(found.items):
        waiting.append(item)
        pictured += item.count
        if pictured >= PART_PICTURES or number == len(found.items) - 1:
            stamps = [[found.source.names[i], found.source.stamp(i)] for one in waiting for i in one.indices]
            key = _hash([FORMAT, *settings, str(found.source.path.resolve()), stamps])
            yield _Batch(first, tuple(waiting), key)
            waiting, pictured, first = [], 0, number + 1


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _make(path: Path, batch: _Batch, frame: Frame | None) -> None:
    """Read the items of a batch, fit them into the frame if there is one, and write its part, whole or not at all."""
    largest = max(max(1, item.bytes) for item in batch.items)
    threads = max(1, min(os.cpu_count() or 1, WORKING_BYTES // largest))
    records, broken = list[dict[str, Any]](), dict[str, str]()
    with writing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive, ThreadPoolExecutor(threads) as pool:
        # A few at a time: pictures that are done wait in memory for their turn.
        for start in range(0, len(batch.items), 2 * threads):
            some = range(start, min(start + 2 * threads, len(batch.items)))
            for done, bad in pool.map(lambda k: _encoded(batch.items[k], batch.first + k, frame), some):
                broken.update(bad)
                for record, data in done:
                    archive.writestr(f"{len(records)}.png", data)
                    records.append(asdict(record))
        archive.writestr(_PART, json.dumps({"records": records, "broken": broken}))


def _encoded(item: Item, number: int, frame: Frame | None) -> tuple[list[tuple[Record, bytes]], dict[str, str]]:
    """The pictures of an item as PNG, and the files of it that cannot be read, and why."""
    done, broken = list[tuple[Record, bytes]](), dict[str, str]()
    try:
        for shot in item.read():
            if shot.pixels is None:
                broken[shot.name] = shot.wrong
            else:
                done.append(_one(shot, number, frame))
    except sources.UNREADABLE as wrong:
        return [], {item.name: sources.reason(wrong)}
    return done, broken


def _one(shot: Shot, number: int, frame: Frame | None) -> tuple[Record, bytes]:
    pixels = shot.pixels
    assert pixels is not None
    ends = (float(np.mean(pixels == 0)), float(np.mean(pixels == np.iinfo(pixels.dtype).max)))
    before = None
    if frame is not None:
        before = (pixels.shape[0], pixels.shape[1])
        pixels = np.ascontiguousarray(pictures.crop(frame.place(pixels), frame.crop))
    if pixels.ndim == 3 and pictures.is_gray(pixels):
        pixels = np.ascontiguousarray(pixels[..., 0])
    bits, kind = pixels.dtype.itemsize * 8, "gray" if pixels.ndim == 2 else "RGB"
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode() + pixels.tobytes()).hexdigest()[:32]
    about = shot.intensity
    record = Record(
        name=_png_name(shot.name),
        source=shot.name,
        size=(pixels.shape[0], pixels.shape[1]),
        mode=f"{bits}-bit {kind}",
        pixels=digest,
        number=number,
        intensity=None if about is None else (about.slope, about.intercept, about.unit),
        before=before,
        ends=ends,
        brightest=shot.brightest,
        cut=shot.cut,
    )
    return record, pictures.encode(pixels, "png", level=6)


def _png_name(name: str) -> str:
    """`a/b.nii.gz#012` -> `a/b_slice012.png`, `a/b.jpg` -> `a/b.png`. Bytes that are no text become `_`."""
    name = re.sub("[\ud800-\udfff]", "_", name)
    file, _, k = name.rpartition("#") if "#" in PurePosixPath(name).name else (name, "", "")
    plain = str(PurePosixPath(file).parent / stem(file)).removeprefix("./")
    return f"{plain}_slice{k}.png" if k else f"{plain}.png"


def _part(path: Path) -> tuple[list[Record], dict[str, str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            said = json.loads(archive.read(_PART))
        records = [
            Record(**{**one, **{key: one[key] and tuple(one[key]) for key in ("size", "intensity", "before", "ends")}})
            for one in said["records"]
        ]
        return records, dict(said["broken"])
    except (*sources.UNREADABLE, KeyError, TypeError) as wrong:
        raise OutputError(f"{path} cannot be read back; delete it and repeat the command") from wrong


def _names(records: Sequence[Record]) -> dict[str, Record]:
    """Names in the zip -> records; of equal names, on any file system, the later ones get a number."""
    names: dict[str, Record] = {}
    taken = set[str]()
    for record in records:
        plain, number, name = record.name.removesuffix(".png"), 1, record.name
        while name.lower() in taken:
            number += 1
            name = f"{plain}-{number}.png"
        taken.add(name.lower())
        names[name] = record
    return names


def _join(
    dest: Path, folder: Path, batches: Iterable[_Batch], names: dict[str, Record], manifest: dict[str, Any]
) -> None:
    """All parts in one zip, under DEST's name only when it is whole."""
    waiting = iter(names)
    with writing(dest) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        # Bytes of a name that are no text are JSON's escapes, which give them back as they were.
        text = json.dumps(manifest, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace")
        archive.writestr(zipfile.ZipInfo(sources.MANIFEST), text, zipfile.ZIP_DEFLATED)
        for batch in batches:
            with zipfile.ZipFile(folder / batch.file) as part:
                for index in range(len(part.namelist()) - 1):
                    archive.writestr(zipfile.ZipInfo(next(waiting)), part.read(f"{index}.png"))
