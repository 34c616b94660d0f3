"""Small pictures of a map's seeds, a hundred on a sheet, drawn once by a process of low priority and kept in the cache.

A sheet is a JPEG of COLUMNS x COLUMNS cells, seeds 100 k to 100 k + 99 row by row, as they look at truncation 0.7, and
beside it the brightness of each as JSON: the mean gray level of the whole picture, 0 to 255.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core import pictures
from core.errors import StyloscopeError
from core.files import cache_folder, writing
from explorer.atlas import MOST_SAMPLES, PSI, Atlas
from explorer.networks import Network
from explorer.recipe import Recipe
from explorer.studio import Studio

__all__ = ["CELL", "COLUMNS", "MOST_SHEETS", "SEEDS", "Sheets"]

CELL = 64  # pixels of a cell's longer side, at most
COLUMNS = 10
SEEDS = COLUMNS * COLUMNS
MOST_SHEETS = MOST_SAMPLES // SEEDS
_MOST_NETWORKS = 12  # whose sheets stay in the cache

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Sheets:
    """The sheets of one network and class; `classes` counts the classes of a map by class, else 0."""

    network: Network
    label: int | None
    classes: int

    @classmethod
    def of(cls, studio: Studio, atlas: Atlas, name: str | None) -> Sheets:
        """The sheets of a map."""
        return cls(studio.network(name), atlas.label, atlas.classes)

    @property
    def folder(self) -> Path:
        """Where they are kept."""
        group = "" if not self.network.classes else ".classes" if self.classes else f".class{self.label or 0}"
        return cache_folder() / "sheets" / f"{self.network.sha}{group}.{CELL}"

    @property
    def cell(self) -> tuple[int, int]:
        """(height, width) of a cell in pixels: the network's pictures, shrunk."""
        scale = min(1.0, CELL / max(self.network.size))
        height, width = (max(1, round(side * scale)) for side in self.network.size)
        return height, width

    def path(self, index: int) -> Path:
        """The JPEG of a sheet."""
        return self.folder / f"{index:04d}.jpg"

    def there(self) -> list[int]:
        """The numbers of the sheets that have been drawn, rising."""
        try:
            names = {path.name for path in self.folder.iterdir()}
        except OSError:
            return []
        return [index for index in range(MOST_SHEETS) if {f"{index:04d}.jpg", f"{index:04d}.json"} <= names]

    def recipe(self, seed: int) -> Recipe:
        """What a cell shows."""
        label = seed % self.classes if self.classes else self.label
        return Recipe(checkpoint=self.network.name, seed=seed, label=label, psi=PSI)

    def draw(self, studio: Studio, count: int, *, progress: Progress | None = None) -> None:
        """Draw the sheets of seeds 0 to count - 1 that are not there yet. Raises OutputError, CheckpointError."""
        wanted = range(-(-count // SEEDS))
        missing = sorted(set(wanted) - set(self.there()))
        done, total = SEEDS * (len(wanted) - len(missing)), SEEDS * len(wanted)
        self._make_room()
        for index in missing:
            cells, levels = [], []
            for seed in range(SEEDS * index, SEEDS * (index + 1)):
                picture = studio.preview(self.recipe(seed))
                levels.append(round(float(picture.mean()), 2))
                cells.append(pictures.resize(picture, self.cell))
                done += 1
                if progress is not None and done % 10 == 0:
                    progress(done, total)
            self._keep(index, cells, levels)
        if progress is not None:
            progress(total, total)

    def brightness(self, count: int) -> np.ndarray:
        """The mean gray level of seeds 0 to count - 1, float64 [count]; nan where a picture has not been drawn."""
        found = np.full(-(-count // SEEDS) * SEEDS, np.nan)
        for index in self.there():
            if SEEDS * index >= count:
                break
            levels = self._levels(index)
            if levels is not None:
                found[SEEDS * index : SEEDS * (index + 1)] = levels
        return found[:count]

    def thumbs(self) -> Callable[[int], np.ndarray | None]:
        """A function that gives the small picture of a seed, or None where it has not been drawn."""
        height, width = self.cell
        known: dict[int, np.ndarray | None] = {}

        def thumb(seed: int) -> np.ndarray | None:
            index, place = divmod(seed, SEEDS)
            if index not in known:
                known[index] = self._sheet(index)
            sheet = known[index]
            if sheet is None:
                return None
            row, column = divmod(place, COLUMNS)
            return sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]

        return thumb

    def _sheet(self, index: int) -> np.ndarray | None:
        try:
            return pictures.read(self.path(index).read_bytes())
        except (OSError, StyloscopeError):
            return None  # another one is drawn when somebody asks for it

    def _levels(self, index: int) -> list[float] | None:
        try:
            said = json.loads(self.path(index).with_suffix(".json").read_bytes()[: 64 * SEEDS])
        except (OSError, ValueError):
            return None
        fits = isinstance(said, list) and len(said) == SEEDS and all(isinstance(one, int | float) for one in said)
        return said if fits else None

    def _keep(self, index: int, cells: list[np.ndarray], levels: list[float]) -> None:
        height, width = self.cell
        sheet = np.zeros((COLUMNS * height, COLUMNS * width, *cells[0].shape[2:]), np.uint8)
        for place, cell in enumerate(cells):
            row, column = divmod(place, COLUMNS)
            sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = cell
        packed = io.BytesIO()
        Image.fromarray(sheet).save(packed, "JPEG", quality=82)
        # The sheet last, since it says that both are there.
        with writing(self.path(index).with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(levels), encoding="utf-8")
        with writing(self.path(index)) as temporary:
            temporary.write_bytes(packed.getvalue())

    def _make_room(self) -> None:
        """Forget the networks whose sheets were drawn longest ago."""

        def age(path: Path) -> Any:
            return path.stat().st_mtime

        try:
            others = sorted((one for one in self.folder.parent.iterdir() if one != self.folder), key=age)
        except OSError:
            return
        for old in others[: max(0, len(others) - _MOST_NETWORKS + 1)]:
            shutil.rmtree(old, ignore_errors=True)
