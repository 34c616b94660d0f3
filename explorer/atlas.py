"""W samples -> a map: PCA at once, UMAP (McInnes et al. 2018) when it has been worked out, kept beside the checkpoint.

The map shows seeds 0 .. N-1 as they look at truncation 0.7: there a seed stands on its dot, and a smaller psi moves it
towards the average. All are of one class, or, by class, seed k of class k modulo the number of classes. Points that are
kept beside the network (real pictures that were projected) lie on it too, where a seed that looked like that would;
`among` the samples they have their part in the UMAP.
The file that is kept has no samples in it, only where they lie, so a shipped map is small.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np

from core.errors import OutputError, SettingError, StyloscopeError
from core.files import cache_folder, writing
from explorer import kept
from explorer.networks import Network
from explorer.recipe import Recipe
from explorer.studio import Studio

__all__ = [
    "METHODS",
    "MOST_SAMPLES",
    "PSI",
    "SAMPLES",
    "Atlas",
    "Named",
    "cached",
    "check",
    "check_by_class",
    "nearest",
    "place",
    "seen",
    "stand",
    "survey",
    "with_umap",
]

METHODS = ("umap", "pca")
MOST_SAMPLES = 50_000
SAMPLES = f"1 to {MOST_SAMPLES}"
FEWEST_FOR_UMAP = 20
MOST_POINTS = 2000  # kept pictures on one map
PSI = 0.7
_MOST_HELD = 8 << 20  # bytes of a kept map, unpacked: twice what the largest one has
_NEIGHBOURS = 15
_NEAREST = 6

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Named:
    """Kept pictures on a map: their names, w [P, w_dim] as a seed's, and where they lie on a UMAP they are among."""

    names: tuple[str, ...] = ()
    w: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False)
    umap: np.ndarray | None = field(default=None, repr=False)


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
    named: Named = field(default_factory=Named)
    among: bool = False  # whether the UMAP is of samples and kept pictures together

    @property
    def spread(self) -> float:
        """The standard deviation of w as a whole: how far samples are from the average, root mean square."""
        return float(np.sqrt(np.square(self.samples - self.w_avg, dtype=np.float64).sum(axis=1).mean()) or 1.0)

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

    def stand_named(self, method: str | None = None) -> np.ndarray:
        """[P, 2] of the kept pictures; see `stand`."""
        return stand(self, self.named.w, method=method) if self.named.names else np.zeros((0, 2))


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
    studio: Studio,
    name: str | None = None,
    *,
    samples: int = 5000,
    label: int | None = None,
    by_class: bool = False,
    points: bool = False,
) -> Atlas:
    """The map of a network: its PCA worked out now (a fraction of a second), its UMAP where it has been kept.

    Kept pictures are on every map; with `points` its UMAP is of them and the samples together, where there are any.
    Raises SettingError for samples, label and by_class, CheckpointError for the network.
    """
    network = _checked(studio, name, samples=samples, label=label, by_class=by_class)
    room = studio.open(network.name)
    labels = [seed % network.classes for seed in range(samples)] if by_class else label
    found = studio.styles(network.name, range(samples), label=labels)
    w_avg = room.generator.w_avg.cpu().numpy().astype(np.float32)
    mean = found.mean(axis=0)
    axes = _principal(found - mean)
    pca = (found - mean) @ axes.T
    classes = network.classes if by_class else 0
    named = _named(studio, network, w_avg=w_avg)
    atlas = Atlas(network.sha, label, found, w_avg, mean, axes, pca.astype(np.float32), classes=classes, named=named)
    atlas = replace(atlas, among=points and len(named.names) > 0)
    return _read(_kept(network, _key(network, atlas)), atlas)


def _principal(centred: np.ndarray) -> np.ndarray:
    """The two axes [2, w_dim] along which samples [N, w_dim] vary most, a row of zeros where there is no second one.

    By the covariance: a fraction of what their singular value decomposition takes.
    """
    exact = centred.astype(np.float64)
    _, found = np.linalg.eigh(exact.T @ exact)
    axes = np.zeros((2, centred.shape[1]), np.float32)
    first = found[:, ::-1].T[: min(2, len(centred))]
    axes[: len(first)] = first * np.sign(first.sum(axis=1, keepdims=True) + 1e-12)  # the sign is left open
    return axes


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
    every = np.concatenate([atlas.samples, atlas.named.w]) if atlas.among else atlas.samples
    found = np.asarray(reducer.fit_transform(every), np.float32)
    found -= found.mean(axis=0)
    whole = replace(atlas, umap=found[: atlas.count])
    if atlas.among:
        whole = replace(whole, named=replace(atlas.named, umap=found[atlas.count :]))
    network = studio.network(name)
    _keep(_places(network, _key(network, whole)), whole)
    return whole


def cached(studio: Studio, atlas: Atlas, name: str | None = None) -> bool:
    """Whether the UMAP of this map has been kept."""
    network = studio.network(name)
    return bool(_kept(network, _key(network, atlas)))


def place(studio: Studio, atlas: Atlas, recipe: Recipe, *, method: str | None = None) -> tuple[float, float]:
    """Where a recipe stands on the map: the average of its ws, as seen at truncation 0.7.

    Exact on the PCA; on the UMAP the weighted mean of the nearest samples, and a sample itself on its dot.
    """
    x, y = stand(atlas, seen(studio, atlas, recipe)[None], method=method)[0]
    return float(x), float(y)


def seen(studio: Studio, atlas: Atlas, recipe: Recipe) -> np.ndarray:
    """The w [w_dim], float64, of a seed that would look like a recipe at truncation 0.7: the average of its ws."""
    average = studio.ws(recipe).double().mean(dim=0).numpy()
    return np.asarray(atlas.w_avg + (average - atlas.w_avg) / PSI)


def stand(atlas: Atlas, w: np.ndarray, *, method: str | None = None) -> np.ndarray:
    """Where w [M, w_dim] lie on the map, float64 [M, 2]; see `place`. Raises SettingError for the method."""
    dots = atlas.points(method)
    if dots is atlas.pca:
        return np.asarray((w - atlas.mean) @ atlas.axes.T, np.float64)
    anchors = atlas.samples
    if atlas.among and atlas.named.umap is not None:
        anchors, dots = np.concatenate([anchors, atlas.named.w]), np.concatenate([dots, atlas.named.umap])
    tiny = 1e-6 * np.square(atlas.samples - atlas.mean).mean() + 1e-12
    return np.array([_between(one, anchors, dots, tiny=tiny) for one in w], np.float64).reshape(-1, 2)


def _between(w: np.ndarray, anchors: np.ndarray, dots: np.ndarray, *, tiny: float) -> np.ndarray:
    """The weighted mean of where the anchors nearest to w [w_dim] lie, or the dot of the anchor that it is."""
    distances = np.linalg.norm(anchors - w, axis=1)
    near = np.argpartition(distances, min(_NEAREST, len(anchors) - 1))[:_NEAREST]
    closest = distances[near].min()
    # Weights fall off relative to the closest, so the mark moves evenly and lands on a dot when it is one.
    weights = 1 / (np.square(distances[near]) + tiny)
    if closest <= 1e-5 * (np.linalg.norm(w) + 1):
        weights = (distances[near] == closest).astype(float)
    return np.asarray(weights @ dots[near] / weights.sum())


def nearest(atlas: Atlas, w: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` seeds nearest to w [w_dim] in W, and how far each is, in standard deviations of w as a whole."""
    distances = np.linalg.norm(atlas.samples - w, axis=1)
    order = np.argsort(distances, kind="stable")[:count]
    return order, distances[order] / atlas.spread


def _named(studio: Studio, network: Network, *, w_avg: np.ndarray) -> Named:
    """The pictures kept beside a network; one that cannot be read is left out."""
    room, names, found = studio.open(network.name), [], []
    for name in kept.names(network, "points")[:MOST_POINTS]:
        try:
            ws = room.point(name).ws
        except StyloscopeError:
            continue
        names.append(name)
        # A point is shown as it was found, at psi 1: it lies where the seed does that looks like it at 0.7.
        found.append(w_avg + (ws.mean(axis=0, dtype=np.float64) - w_avg) / PSI)
    return Named(tuple(names), np.array(found, np.float32).reshape(len(found), len(w_avg)))


# --- keeping -----------------------------------------------------------------------------------------------------


def _checked(studio: Studio, name: str | None, *, samples: int, label: int | None, by_class: bool) -> Network:
    check(samples=samples)
    network = studio.network(name)
    if by_class:
        check_by_class(network, label=label)
    return studio.check(Recipe(checkpoint=network.name, label=label))


def _key(network: Network, atlas: Atlas) -> str:
    """What a kept map is known by: the network's content, the number of samples, the class, the points among them."""
    group = (".classes" if atlas.classes else f".class{atlas.label or 0}") if network.classes else ""
    if atlas.among:
        group += f".points{hashlib.sha256(np.ascontiguousarray(atlas.named.w).tobytes()).hexdigest()[:12]}"
    return f"{network.sha}.{atlas.count}{group}.map.npz"


def _places(network: Network, key: str) -> list[Path]:
    """Where a map is kept: beside the checkpoint, or where that folder cannot be written, in the person's cache."""
    return [network.path.with_name(f"{network.path.stem}.{key}"), cache_folder() / key]


def _kept(network: Network, key: str) -> list[Path]:
    """The files that hold this map, under whatever name the network had then."""
    folders = (network.path.parent, cache_folder())
    return [
        path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()) if path.name.endswith(key)
    ]


def _keep(places: list[Path], atlas: Atlas) -> Path:
    """Write the map to the first place that takes it, and return that place. Raises OutputError where none does."""
    for index, path in enumerate(places):
        try:
            with writing(path) as temporary:
                assert atlas.umap is not None
                held = {"umap": atlas.umap, "pca": atlas.pca}
                if atlas.named.umap is not None:
                    held["points"] = atlas.named.umap
                with open(temporary, "wb") as file:
                    np.savez_compressed(file, **held)  # type: ignore[arg-type]
            return path
        except OutputError:
            if index == len(places) - 1:
                raise
    raise AssertionError("there is always a place")


def _read(places: list[Path], atlas: Atlas) -> Atlas:
    """The map with its kept UMAP, or as it is where there is none that fits these samples."""
    for path in places:
        try:
            with np.load(path, allow_pickle=False) as held:
                if sum(member.file_size for member in held.zip.infolist()) > _MOST_HELD:
                    continue
                found, pca = held["umap"], held["pca"]
                points = held["points"] if atlas.among else np.zeros((len(atlas.named.names), 2))
        except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, BadZipFile, ZlibError, MemoryError):
            continue  # a damaged map is worked out again
        # The PCA is a fingerprint: a file that was renamed belongs to another network.
        fits = found.shape == pca.shape == atlas.pca.shape and np.isfinite(found).all()
        fits = fits and np.allclose(pca, atlas.pca, atol=1e-2 * (np.abs(atlas.pca).max() + 1e-9))
        if not fits or points.shape != (len(atlas.named.names), 2) or not np.isfinite(points).all():
            continue
        named = replace(atlas.named, umap=points.astype(np.float32)) if atlas.among else atlas.named
        return replace(atlas, umap=found.astype(np.float32), named=named)
    return atlas


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
