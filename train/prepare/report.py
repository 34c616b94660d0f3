"""What a prepared set is: the report a person reads, the dataset.json inside the zip, the contact sheet beside it."""

from __future__ import annotations

import zipfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from core import pictures
from core.errors import SettingError
from core.frame import Frame
from core.intensity import Intensity
from train.prepare.record import Record
from train.slicing import common
from train.survey import Survey, ten

__all__ = ["make", "manifest", "sheet", "sheet_path", "text"]

SHEET = 48
_MOST_NAMED = 1000
_MOST_WHITE = 0.05  # of the values of windowed scans
_SMALLER = "give --size and --fit here or to the trainer"


def make(
    found: Survey,
    records: Sequence[Record],
    names: Mapping[str, Record],
    *,
    fitted: Frame | None,
    broken: Sequence[str],
    classes: tuple[str, ...],
    numbers: np.ndarray | None,
) -> dict[str, Any]:
    """The report, as JSON; `fitted` is the frame that the pictures were put into."""
    sizes = Counter(record.size for record in records)
    kinds = Counter("".join(PurePosixPath(item.name).suffixes[-2:]).lower() or "no suffix" for item in found.items)
    # What a prepared zip said of all its levels still holds of those that are taken from it.
    intensity, ranges, apart = common([_unit(found, one) for one in records])
    people = {who for item in found.items if (who := found.who(item)) is not None}
    said = [found.source.says] if found.source.says else []
    picture = found.picture if fitted is None else fitted.crop[2:]
    ends = np.mean([one.ends for one in records], axis=0).tolist()
    return {
        "source": found.source.path.name,
        "files": found.files,
        "pictures": len(records),
        "left_out": found.count - len(records),
        "sizes": {f"{h}x{w}": count for (h, w), count in sizes.most_common()},
        "modes": dict(Counter(record.mode for record in records).most_common()),
        "suffixes": dict(kinds.most_common()),
        "picture": list(picture),
        "frame": frame(picture),
        "fitted": None if fitted is None else _fitted(fitted, records),
        "intensity": None if intensity is None else intensity.values(),
        "ends": {"black": ends[0], "white": ends[1]},
        "ranges": ranges,
        "apart": apart,
        "people": len(people),
        "classes": _classes(records, classes, numbers),
        "duplicates": duplicates(names),
        "resampled": {name: list(pixel) for name, pixel in list(found.resampled.items())[:_MOST_NAMED]},
        "broken": sorted(broken)[:_MOST_NAMED],
        "says": [*said, *found.says, *found.dark(records), *_cut_off(records)],
    }


def _cut_off(records: Sequence[Record]) -> list[str]:
    """That a window takes much of the scans for white."""
    windowed = [one.ends[1] for one in records if one.intensity is not None]
    share = float(np.mean(windowed)) if windowed else 0.0
    if share <= _MOST_WHITE:
        return []
    return [f"{share:.0%} of the values are at or above what is white; a higher HIGH in --window LOW,HIGH keeps them"]


def _unit(found: Survey, record: Record) -> Intensity | None:
    """What the levels of a picture stand for, also where a zip that was prepared before said so."""
    window = None if record.intensity is None else Intensity(*record.intensity)
    return found.manifest.unit(window, name=record.source)


def frame(picture: tuple[int, int]) -> dict[str, Any] | None:
    """What --size auto will make of pictures of that size; None where no network is as large."""
    try:
        auto = Frame.of(picture, size=None, fit="native")
    except SettingError:
        return None
    return {"size": list(auto.size), "crop": list(auto.crop), "says": auto.says}


def _fitted(frame: Frame, records: Sequence[Record]) -> dict[str, Any]:
    """The frame that the pictures were put into, their sizes before, and how many are larger than they were."""
    before = Counter(one.before for one in records if one.before is not None)
    target = frame.crop[2:]
    enlarged = sum(count for size, count in before.items() if _grows(size, target, fit=frame.fit))
    return {
        "size": list(frame.size),
        "fit": frame.fit,
        "sizes": {f"{h}x{w}": count for (h, w), count in before.most_common(_MOST_NAMED)},
        "enlarged": enlarged,
    }


def _grows(size: tuple[int, int], target: tuple[int, ...], *, fit: str) -> bool:
    """Whether a picture is enlarged; stretched ones, if they grow along either side."""
    along = [there / here for here, there in zip(size, target, strict=True)]
    return fit != "native" and (min(along) if fit == "pad" else max(along)) > 1


def duplicates(names: Mapping[str, Record]) -> list[list[str]]:
    """Names of pictures whose pixels are equal, a list for each kind."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name, record in names.items():
        alike[record.pixels].append(name)
    return [group for group in alike.values() if len(group) > 1][:_MOST_NAMED]


def _classes(records: Sequence[Record], classes: tuple[str, ...], numbers: np.ndarray | None) -> dict[str, int]:
    if numbers is None:
        return {}
    counts = Counter(int(numbers[record.number]) for record in records)
    return {name: counts[index] for index, name in enumerate(classes)}


def manifest(
    found: Survey,
    records: Sequence[Record],
    names: Mapping[str, Record],
    *,
    said: Mapping[str, Any],
    classes: tuple[str, ...],
    numbers: np.ndarray | None,
    key: str,
) -> dict[str, Any]:
    """dataset.json: the report, and for each picture its source, person and class. See docs/data.md."""
    people = {name: who for name, record in names.items() if (who := found.who(found.items[record.number]))}
    units = {name: unit for name, record in names.items() if (unit := _unit(found, record)) is not None}
    own = {name: [*unit.values().values()] for name, unit in units.items()}
    box = said["frame"]
    return {
        "format": 1,
        "key": key,
        "source": said["source"],
        "sizes": said["sizes"],
        "crop": None if box is None else box["crop"],
        "size": None if box is None else box["size"],
        "fitted": said["fitted"] and {key: said["fitted"][key] for key in ("size", "fit")},
        "intensity": said["intensity"],
        "classes": list(classes),
        "labels": None if numbers is None else [[name, int(numbers[one.number])] for name, one in names.items()],
        "people": people,
        "sources": {name: record.source for name, record in names.items()},
        "intensities": None if said["intensity"] else own or None,
        "report": dict(said),
    }


def sheet_path(dest: Path) -> Path:
    """The contact sheet's place."""
    return dest.with_suffix(".png")


def shape(said: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width that a report's frame is made for; earlier versions name only all sizes, the commonest first."""
    height, width = said.get("picture") or next(iter(said["sizes"])).split("x")
    return int(height), int(width)


def sheet(dest: Path, names: Sequence[str] | Mapping[str, Any], *, picture: tuple[int, int]) -> None:
    """Write the contact sheet: some pictures from all over the zip, in the frame that the report names."""
    every = list(names)
    chosen = [every[k] for k in np.unique(np.linspace(0, len(every) - 1, SHEET).astype(int)).tolist()]
    with zipfile.ZipFile(dest) as archive:
        shown = [pictures.read(archive.read(name), name=name) for name in chosen]
    try:
        auto = Frame.of(picture, size=None, fit="native")
    except SettingError:
        auto = Frame.of(picture, size=(256, 256), fit="pad")
    placed = [auto.place(pictures.as_8bit(one)) for one in shown]
    pictures.write_png(sheet_path(dest), pictures.grid(placed, columns=8))


def text(said: Mapping[str, Any]) -> str:
    """The report as lines to read."""
    lines = [
        ("written", said["dest"]),
        ("contact sheet", said["sheet"]),
        (
            "pictures",
            f"{said['pictures']} from {said['files']} files, {said['left_out']} left out as empty or unreadable",
        ),
        *((("before", _before(said["fitted"])),) if said.get("fitted") else ()),
        ("sizes", _counts(said["sizes"])),
        ("modes", _counts(said["modes"])),
        (
            "network",
            said["frame"]["says"]
            if said["frame"]
            else "larger than any network; give --size and --fit here or to the trainer",
        ),
        ("levels", _levels(said)),
        *((("at the ends", _ends(said["ends"])),) if said.get("ends") else ()),
        ("people", f"{said['people'] or 'not told by the names'}"),
        ("classes", _counts(said["classes"]) or "none"),
        ("duplicates", _duplicates(said["duplicates"])),
        ("broken", f"{len(said['broken'])}: {ten(said['broken'])}" if said["broken"] else "none"),
        *(("note", sentence) for sentence in said["says"]),
    ]
    return "\n".join(f"{name + ':':15}{value}" for name, value in lines)


def _before(fitted: Mapping[str, Any]) -> str:
    height, width = fitted["size"]
    larger = f"; {fitted['enlarged']} of them enlarged" if fitted["enlarged"] else ""
    return f"{_counts(fitted['sizes'])}, fitted to {height}x{width} by {fitted['fit']}{larger}"


def _levels(said: Mapping[str, Any]) -> str:
    if said["intensity"]:
        return Intensity(**said["intensity"]).says()
    if said.get("ranges"):
        apart = said.get("apart") or f"a range of its own in each of {said['ranges']} scans"
        return (
            f"{apart}; prepare the scans with --window LOW,HIGH to have one in common" if said["ranges"] > 1 else apart
        )
    return "as they are, without a unit"


def _ends(ends: Mapping[str, float]) -> str:
    return f"{ends['black']:.1%} of the values are black, {ends['white']:.1%} white, to the last level"


def _counts(counts: Mapping[str, int]) -> str:
    shown = [f"{name} ({count})" for name, count in list(counts.items())[:8]]
    return ", ".join(shown) + (f" and {len(counts) - 8} more" if len(counts) > 8 else "")


def _duplicates(groups: Sequence[Sequence[str]]) -> str:
    if not groups:
        return "none"
    extra = sum(len(group) - 1 for group in groups)
    return f"{extra} pictures are there more than once: {ten([' = '.join(group[:3]) for group in groups])}"
