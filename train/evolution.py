"""evolution.gif: the sample sheets of a run one after the other, kept apart from samples/.

    RUN/state/frame-000012345.png      the number is images seen

The names in samples/ are whole kimg, so that several sheets of a short run bear one name and the last of them stays.
Frames are links to those files where the drive has links; above 120, every second frame is deleted.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from core import pictures, runs
from core.files import writing

__all__ = ["add", "draw", "forget_after", "frames"]

SHOWN = 60
LONGER = {True: 1600, False: 800}  # pixels of the longer side at most, of gray and of colour, whose palettes take long


def frames(run: Path) -> list[tuple[int, Path]]:
    """(images seen, file) of every sheet there is, oldest first; those of samples/ from before the first frame, too."""
    kept = runs.frames(run)
    first = kept[0][0] if kept else None
    before = [(int(file.stem) * 1000, file) for file in runs.samples(run)]
    return [one for one in before if first is None or one[0] < first - first % 1000] + kept


def add(run: Path, sheet: Path, *, images: int) -> None:
    """Keep `sheet`, a file in samples/, as a frame. Raises OutputError."""
    with writing(runs.frame_path(run, images)) as temporary:
        try:
            os.link(sheet, temporary)
        except OSError:  # a drive without links
            shutil.copyfile(sheet, temporary)
    there = frames(run)
    if len(there) > 2 * SHOWN:
        for _, file in there[1:-1:2]:
            if file.parent.name == runs.STATE:
                with suppress(OSError):  # Windows keeps one that the explorer reads; the next frame removes it
                    file.unlink(missing_ok=True)


def forget_after(run: Path, images: int) -> None:
    """Take away what was drawn after `images`, which the resumed run draws again."""
    for seen, file in frames(run):
        if seen > images:
            file.unlink(missing_ok=True)


def draw(run: Path) -> None:
    """Make evolution.gif of the frames that have the last one's shape, large ones smaller. Raises OutputError."""
    files = [file for _, file in frames(run)]
    step = (len(files) - 1) / (SHOWN - 1) if len(files) > SHOWN else 1.0
    chosen = [files[round(k * step)] for k in range(min(len(files), SHOWN))]
    last = pictures.read_header(chosen[-1])
    same = [file for file in chosen if pictures.read_header(file).size == last.size]
    scale = max(1.0, max(last.size) / LONGER[last.gray])
    size = round(last.size[0] / scale), round(last.size[1] / scale)
    shown = (pictures.resize(pictures.read(file), size) for file in same)  # one after the other: they may be large
    pictures.write_animation(run / runs.EVOLUTION, shown, fps=5, count=len(same))
