"""W samples -> a map: PCA at once, UMAP (McInnes et al. 2018) when it has been worked out, kept beside the checkpoint.

The map shows seeds 0 .. N-1 as they look at truncation 0.7: there a seed stands on its dot, and a smaller psi moves it
towards the average. All are of one class, or, by class, seed k of class k modulo the number of classes.
The file that is kept has no samples in it, only where they lie, so a shipped map is small.
"""

from __future__ import annotations

import colorsys
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from core import pictures
from core.errors import OutputError, SettingError
from core.files import writing
from explorer.networks import Network
from explorer.recipe import Recipe
from explorer.studio import Studio

__all__ = [
    "METHODS",
    "MOST_SAMPLES",
    "SAMPLES",
    "Atlas",
    "cached",
    "check",
    "check_by_class",
    "drawn",
    "place",
    "survey",
    "with_umap",
    "write",
]

METHODS = ("umap", "pca")
MOST_SAMPLES = 50_000
SAMPLES = f"1 to {MOST_SAMPLES}"
FEWEST_FOR_UMAP = 20
PSI = 0.7
_NEIGHBOURS = 15
_NEAREST = 6

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Atlas:
    """A map of one network: where seeds 0 .. N-1 lie. `umap` is None until it has been worked out.

    samples [N, w_dim] w; mean [w_dim] and axes [2, w_dim] of the PCA; pca and umap [N, 2], all float32.
    """

    sha: str
    label: int | None
    samples: np.ndarray = field(repr=False)
    w_avg: np.ndarray = field(repr=False)
    mean: np.ndarray = field(repr=False)
    axes: np.ndarray = field(repr=False)
    pca: np.ndarray = field(repr=False)
    umap: np.ndarray | None = field(default=None, repr=False)
    classes: int = 0  # by class: how many there are; 0 where all samples are of class `label`

    @property
    def count(self) -> int:
        """The number of samples."""
        return len(self.samples)

    @property
    def method(self) -> str:
        """The better of the maps there are: umap or pca."""
        return "pca" if self.umap is None else "umap"

    def points(self, method: str | None = None) -> np.ndarray:
        """[N, 2] of a method, the better one for None. Raises SettingError for one that is not there."""
        method = method or self.method
        if method not in METHODS or (method == "umap" and self.umap is None):
            raise SettingError("method", method, "umap once it has been worked out, or pca")
        return self.pca if method == "pca" or self.umap is None else self.umap


def check(*, samples: int = 5000, method: str = "umap") -> None:
    """Raise SettingError for a number of samples or a method that no map can have."""
    if method not in METHODS:
        raise SettingError("method", method, " or ".join(METHODS))
    if isinstance(samples, bool) or not isinstance(samples, int) or not 1 <= samples <= MOST_SAMPLES:
        raise SettingError("samples", samples, SAMPLES)


def check_by_class(network: Network, *, label: int | None) -> None:
    """Raise SettingError where a network has no classes to map by, or one of them was named."""
    if not network.classes:
        raise SettingError("by_class", "true", f"{network.name} has no classes, so leave it out")
    if label is not None:
        raise SettingError("by_class", "true", "a map of one class, by its label, or of all, not both")


def survey(
    studio: Studio, name: str | None = None, *, samples: int = 5000, label: int | None = None, by_class: bool = False
) -> Atlas:
    """The map of a network: its PCA worked out now (a fraction of a second), its UMAP where it has been kept.

    Raises SettingError for samples, label and by_class, CheckpointError for the network.
    """
    network = _checked(studio, name, samples=samples, label=label, by_class=by_class)
    room = studio.open(network.name)
    labels = [seed % network.classes for seed in range(samples)] if by_class else label
    found = studio.styles(network.name, range(samples), label=labels)
    w_avg = room.generator.w_avg.cpu().numpy().astype(np.float32)
    mean = found.mean(axis=0)
    _, _, axes = np.linalg.svd(found - mean, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2].sum(axis=1, keepdims=True) + 1e-12)  # SVD leaves the sign open
    if len(axes) < 2:
        axes = np.concatenate([axes, np.zeros((2 - len(axes), found.shape[1]), np.float32)])
    pca = (found - mean) @ axes.T
    classes = network.classes if by_class else 0
    atlas = Atlas(network.sha, label, found, w_avg, mean, axes, pca.astype(np.float32), classes=classes)
    return replace(atlas, umap=_read(_kept(network, samples=samples, label=label, by_class=by_class), atlas))


def with_umap(studio: Studio, atlas: Atlas, name: str | None = None, *, progress: Progress | None = None) -> Atlas:
    """The same map with its UMAP, worked out (seconds to a minute of one core) and kept, or read where it was kept.

    For a process of its own: it takes the core from whatever else this process does. Raises SettingError for fewer
    than FEWEST_FOR_UMAP samples.
    """
    if atlas.umap is not None:
        return atlas
    if atlas.count < FEWEST_FOR_UMAP:
        raise SettingError("samples", atlas.count, f"UMAP needs at least {FEWEST_FOR_UMAP}; use --method pca for fewer")
    from umap import UMAP

    reducer = UMAP(
        n_neighbors=min(_NEIGHBOURS, atlas.count - 1),
        random_state=0,
        n_jobs=1,
        tqdm_kwds=_bar(progress),
    )
    found = np.asarray(reducer.fit_transform(atlas.samples), np.float32)
    whole = replace(atlas, umap=found - found.mean(axis=0))
    about = {"samples": whole.count, "label": whole.label, "by_class": whole.classes > 0}
    _keep(_places(studio.network(name), **about), whole)  # type: ignore[arg-type]
    return whole


def cached(
    studio: Studio, name: str | None = None, *, samples: int = 5000, label: int | None = None, by_class: bool = False
) -> bool:
    """Whether the UMAP of this network has been kept. Raises as `survey` does."""
    network = _checked(studio, name, samples=samples, label=label, by_class=by_class)
    return bool(_kept(network, samples=samples, label=label, by_class=by_class))


def place(studio: Studio, atlas: Atlas, recipe: Recipe, *, method: str | None = None) -> tuple[float, float]:
    """Where a recipe stands on the map: the average of its ws, as seen at truncation 0.7.

    Exact on the PCA; on the UMAP the weighted mean of the nearest samples, and a sample itself on its dot.
    """
    average = studio.ws(recipe).double().mean(dim=0).numpy()
    w = atlas.w_avg + (average - atlas.w_avg) / PSI
    if atlas.points(method) is atlas.pca:
        x, y = (w - atlas.mean) @ atlas.axes.T
        return float(x), float(y)
    distances = np.linalg.norm(atlas.samples - w, axis=1)
    nearest = np.argpartition(distances, min(_NEAREST, atlas.count - 1))[:_NEAREST]
    closest = distances[nearest].min()
    # Weights fall off relative to the closest, so the mark moves evenly and lands on a dot when it is one.
    weights = 1 / (np.square(distances[nearest]) + 1e-6 * np.square(atlas.samples - atlas.mean).mean() + 1e-12)
    if closest <= 1e-5 * (np.linalg.norm(w) + 1):
        weights = (distances[nearest] == closest).astype(float)
    x, y = weights @ atlas.points(method)[nearest] / weights.sum()
    return float(x), float(y)


def write(
    table: Path, picture: Path, atlas: Atlas, *, method: str | None = None, text: dict[str, str] | None = None
) -> None:
    """Write seed, x, y, one line a sample, and the map as a PNG with `text`: both or neither. Raises OutputError.

    A map by class has the class as its fourth column.
    """
    count = atlas.classes
    rows = [
        f"{seed},{x:.6g},{y:.6g}" + (f",{seed % count}" if count else "")
        for seed, (x, y) in enumerate(atlas.points(method))
    ]
    head = "seed,x,y,class" if count else "seed,x,y"
    with writing(table) as first, writing(picture) as second:
        first.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
        second.write_bytes(pictures.encode(drawn(atlas, method=method), "png", text, level=6))


def drawn(atlas: Atlas, *, method: str | None = None, side: int = 1000) -> np.ndarray:
    """The map as a picture, uint8 [side, side]: one soft dot a sample, brighter where they lie close.

    By class it is RGB, [side, side, 3], and each class has a colour.
    """
    points = atlas.points(method).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    span = max(float((high - low).max()), 1e-9)
    margin = side // 20
    fine = 3
    spots = (points - (low + high) / 2) / span * (side - 2 * margin) + side / 2
    columns, rows = (spots * fine).astype(int).T
    dots = [(dy, dx) for dy in range(-4, 5) for dx in range(-4, 5) if dy * dy + dx * dx <= 20]

    def plane(weights: np.ndarray | float) -> np.ndarray:
        heat = np.zeros((side * fine, side * fine), np.float32)
        for dy, dx in dots:
            np.add.at(heat, (side * fine - 1 - np.clip(rows + dy, 0, side * fine - 1), columns + dx), weights)
        soft = np.asarray(Image.fromarray(heat).resize((side, side), Image.Resampling.BOX))
        return (18 + 225 * (1 - np.exp(-0.8 * soft))).astype(np.uint8)

    if not atlas.classes:
        return plane(1.0)
    colours = np.array([_colour(seed % atlas.classes, atlas.classes) for seed in range(atlas.count)], np.float32)
    return np.stack([plane(one) for one in colours.T], axis=-1)


def _colour(label: int, count: int) -> tuple[float, float, float]:
    """RGB from 0 to 1 of a class; neighbours in number lie far apart in hue, as on the page."""
    return colorsys.hls_to_rgb(hue(label, count) / 360, 0.6, 0.7)


def hue(label: int, count: int) -> float:
    """The hue of a class in degrees: even steps round the circle for a few, the golden angle for many."""
    return (360 * label / count + 200) % 360 if count <= 8 else (137.508 * label + 200) % 360


# --- keeping -----------------------------------------------------------------------------------------------------


def _checked(studio: Studio, name: str | None, *, samples: int, label: int | None, by_class: bool) -> Network:
    check(samples=samples)
    network = studio.network(name)
    if by_class:
        check_by_class(network, label=label)
    return studio.check(Recipe(checkpoint=network.name, label=label))


def _key(network: Network, *, samples: int, label: int | None, by_class: bool = False) -> str:
    """What a kept map is known by: the network's content, the number of samples, the class."""
    group = (".classes" if by_class else f".class{label or 0}") if network.classes else ""
    return f"{network.sha}.{samples}{group}.map.npz"


def _places(network: Network, *, samples: int, label: int | None, by_class: bool = False) -> list[Path]:
    """Where a map is kept: beside the checkpoint, or where that folder cannot be written, in the person's cache."""
    key = _key(network, samples=samples, label=label, by_class=by_class)
    return [network.path.with_name(f"{network.path.stem}.{key}"), _cache_folder() / key]


def _kept(network: Network, *, samples: int, label: int | None, by_class: bool = False) -> list[Path]:
    """The files that hold this map, under whatever name the network had then."""
    key = _key(network, samples=samples, label=label, by_class=by_class)
    folders = (network.path.parent, _cache_folder())
    return [
        path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()) if path.name.endswith(key)
    ]


def _cache_folder() -> Path:
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "styloscope"


def _keep(places: list[Path], atlas: Atlas) -> Path:
    """Write the map to the first place that takes it, and return that place. Raises OutputError where none does."""
    for index, path in enumerate(places):
        try:
            with writing(path) as temporary:
                assert atlas.umap is not None
                with open(temporary, "wb") as file:
                    np.savez_compressed(file, umap=atlas.umap, pca=atlas.pca)
            return path
        except OutputError:
            if index == len(places) - 1:
                raise
    raise AssertionError("there is always a place")


def _read(places: list[Path], atlas: Atlas) -> np.ndarray | None:
    """The kept UMAP, or None where there is none that fits these samples."""
    for path in places:
        try:
            with np.load(path, allow_pickle=False) as kept:
                found, pca = kept["umap"], kept["pca"]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            continue  # a damaged map is worked out again
        # The PCA is a fingerprint: a file that was renamed belongs to another network.
        fits = found.shape == pca.shape == atlas.pca.shape and np.isfinite(found).all()
        if fits and np.allclose(pca, atlas.pca, atol=1e-2 * (np.abs(atlas.pca).max() + 1e-9)):
            return found.astype(np.float32)
    return None


class _Ticks:
    """A file for tqdm to write `done/total` to, which hands the two numbers on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def write(self, text: str) -> None:
        done, slash, total = text.strip().partition("/")
        if slash and done.isdigit() and total.isdigit():
            self._progress(int(done), int(total))

    def flush(self) -> None:
        """Nothing is held back."""


def _bar(progress: Progress | None) -> dict[str, Any]:
    if progress is None:
        return {"disable": True}
    return {"disable": False, "file": _Ticks(progress), "bar_format": "{n_fmt}/{total_fmt}", "mininterval": 0.2}
