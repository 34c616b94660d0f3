"""Which networks there are: files in the checkpoints folder, in runs, and those that the command line named by a path.

A name is looked up in a list of what lies in these folders, never joined to a path, so none can lead outside.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core import foreign, runs
from core.checkpoint import sha256
from core.errors import CheckpointError, DataError, SettingError
from core.generator import ARCHITECTURES
from core.header import configs, read_about
from core.intensity import Intensity
from core.sizes import crop_at
from explorer.card import credit_of
from explorer.recipe import Grown

__all__ = ["DEFAULT", "Network", "Networks", "name_of"]

DEFAULT = "brain"
SUFFIX = ".safetensors"
Size = tuple[int, int]
Box = tuple[int, int, int, int]

_NOWHERE = "train one, or put a .safetensors file of Styloscope there"


@dataclass(frozen=True)
class Network:
    """What the header of a network file says; the weights are not read for it."""

    name: str
    path: Path
    sha: str  # the first 12 hex digits of the file's SHA-256
    architecture: str
    size: tuple[int, int]  # height and width as people are shown it
    channels: int
    layers: int
    classes: int
    credit: str
    sizes: tuple[Size, ...]  # height and width that it can be asked for, coarse to fine; one where it does not grow
    grows: bool
    grown: tuple[Size, float] | None  # what to show when nobody says otherwise; None: the full size
    stamp: tuple[int, int]  # mtime in ns and bytes: another stamp, another file
    about: dict[str, Any] = field(repr=False, compare=False)
    class_names: tuple[str, ...] | None = None  # one a class, where the header has them
    best: bool = False  # of its run, as the run's own measure says; known where all networks are listed

    def entry(self) -> dict[str, Any]:
        """The network as JSON values, as GET /networks gives it."""
        names = ("name", "architecture", "channels", "layers", "classes", "credit", "sha", "grows", "best")
        return {
            **{name: getattr(self, name) for name in names},
            "size": list(self.size),
            "sizes": [list(size) for size in self.sizes],
            "grown": None if self.grown is None else {"size": list(self.grown[0]), "alpha": self.grown[1]},
            "class_names": None if self.class_names is None else list(self.class_names),
            "intensity": None if self.intensity is None else self.intensity.values(),
        }

    @property
    def w_dim(self) -> int:
        """Width of w."""
        return int(self.about["config"]["w_dim"])

    @property
    def crop(self) -> Box:
        """(top, left, height, width) of what people are shown, in pixels of the finished network."""
        top, left, height, width = self.about["picture"]["crop"]
        return top, left, height, width

    def growth(self, grown: Grown | None) -> tuple[Size, float]:
        """Size and alpha that a recipe's `grown` (None: the default) means here; its size has to be one of `sizes`."""
        if grown is not None:
            return grown.size, grown.alpha
        return self.grown or (self.sizes[-1], 1.0)

    def window(self, grown: Grown | None) -> Box:
        """[top, left, height, width] of what people are shown there, in the pixels of that size."""
        return crop_at(self.crop, len(self.sizes) - 1 - self.sizes.index(self.growth(grown)[0]))

    def pixels(self, grown: Grown | None) -> int:
        """How many pixels people are shown there."""
        _, _, height, width = self.window(grown)
        return height * width

    @property
    def intensity(self) -> Intensity | None:
        """What gray levels stand for, where the training's pictures said so."""
        return Intensity.read(self.about["picture"].get("intensity"))


def name_of(path: Path) -> str:
    """What a file is called that was named by its path: RUN/000012 where it lies in a run, else its stem."""
    folder = _whole(path).parent
    if folder.name == runs.CHECKPOINTS and runs.is_run(folder.parent):
        return f"{folder.parent.name}/{path.stem}"
    return path.stem


def _whole(path: Path) -> Path:
    """A path from the root, as it is spelled, links and all, like the names of a listing."""
    return Path(os.path.abspath(path))


def _nothing(checkpoints: str, runs: str) -> str:
    return f"there is no network in {checkpoints} or in {runs}: {_NOWHERE}"


def _is_of_run(name: str, full: str, path: Path) -> bool:
    """Whether a file is of the run `name`, and not merely named after a folder above it."""
    return full.rpartition("/")[0] == name and full == name_of(path)


class Networks:
    """The networks of two folders. Headers are read again only where a file has changed. Not thread-safe."""

    def __init__(self, *, checkpoints: str | Path, runs: str | Path) -> None:
        self.checkpoints = Path(checkpoints)
        self.runs = Path(runs)
        self.refused: dict[Path, str] = {}  # files that the last listing could not read, and why
        self.preferred: str | None = None  # the one meant where no name is given
        self.discreet = False  # errors name files and folders, and leave out where they lie
        self._admitted: dict[str, Path] = {}
        self._known: dict[Path, Network] = {}
        self._listed: dict[str, Network] = {}  # full names that were found by listing

    def all(self) -> list[Network]:
        """Every network that can be opened, those of the checkpoints folder first, each run's newest first."""
        found, self.refused = [], {}
        for name, path in self._hidden():
            self.refused[path] = f"{path} is not listed: another file was opened as {name}; rename one of the two"
        for name, path in self._files():
            try:
                found.append(self._read(name, path))
            except CheckpointError as wrong:
                self.refused[path] = str(wrong)
        self._known = {network.path: network for network in found}
        best = self._best()
        return [replace(network, best=True) if network.path in best else network for network in found]

    def find(self, name: str | None) -> Network:
        """The network of that name: a stem, RUN (its newest) or RUN/000012; None is `preferred`, `brain` or the first.

        Raises CheckpointError for a name that is not there, and for a file that cannot be read.
        """
        known = self._unchanged(name)
        if known is not None:
            return known
        files = dict(self._files())
        if not files:
            raise CheckpointError(_nothing(self._called(self.checkpoints), self._called(self.runs)))
        if name is None:
            usual = next((one for one in (self.preferred, DEFAULT) if one in files), None)
            fine = (full for full, path in files.items() if self._is_fine(full, path))
            name = usual or next(fine, next(iter(files)))
        if name not in files:
            name = next((full for full, path in files.items() if _is_of_run(name, full, path)), name)
        if name not in files:
            some = ", ".join(list(files)[:8]) + (", ..." if len(files) > 8 else "")
            places = f"{self._called(self.checkpoints)} or {self._called(self.runs)}"
            raise CheckpointError(f"there is no network {name[:80]!r} in {places}; there is {some}")
        try:
            network = self._read(name, files[name])
        except CheckpointError as wrong:
            raise self.told(wrong, files[name]) from wrong
        self._known[network.path] = network
        self._listed[name] = network
        return network

    def _is_fine(self, name: str, path: Path) -> bool:
        try:
            self._read(name, path)
        except CheckpointError:
            return False
        return True

    def nothing(self) -> str:
        """The sentence for when there is no network at all."""
        return _nothing(str(self.checkpoints), str(self.runs))

    def told(self, wrong: CheckpointError, path: Path) -> CheckpointError:
        """The error about the file at `path` as whoever asks may read it."""
        return CheckpointError(str(wrong).replace(str(path), self._called(path)))

    def _called(self, path: Path) -> str:
        """What a file or folder is called in an error: its path, or where that is nobody's business its end."""
        if not self.discreet or not path.is_absolute():
            return str(path)
        root = next((root for root in (self.checkpoints, self.runs) if path.is_relative_to(root)), path)
        return str(Path(root.name) / path.relative_to(root))

    def admit(self, text: str, *, beside: str | None = None) -> str:
        """Take what the command line named, a network's name or the path of any file, and return its name from now on.

        What is listed keeps its name: a file beyond the folders that is called alike has the folder above it in front.
        `beside` is the name of another network that has to stay known. Raises CheckpointError where it is neither.
        """
        try:
            return self.find(text).name
        except CheckpointError:
            path = Path(text)
            if runs.is_run(path):
                return self.admit_run(text)
            if not path.exists() and path.suffix != SUFFIX and path.parent == Path("."):
                raise
        listed = next((name for name, one in self._files() if _whole(one) == _whole(path)), None)
        if listed is not None:
            return self.find(listed).name
        network = self._read(self._free(path, beside=beside), path)
        self._admitted = {network.name: path, **self._admitted}
        self._listed.pop(network.name, None)
        return network.name

    def admit_run(self, text: str) -> str:
        """Take a run by name or by the path of its folder and return the name of its newest network.

        Raises SettingError where it is no run, CheckpointError where it has no network yet.
        """
        folder = next((run for run in runs.runs(self.runs) if run.name == text), Path(text))
        if not runs.is_run(folder):
            raise SettingError("run", text, f"it has to be a run in {self.runs} or the folder of one")
        newest = runs.newest(folder)
        if newest is None:
            raise CheckpointError(f"the run {folder} has no network yet; wait for its first, or name another run")
        listed = next((name for name, one in self._files() if _whole(one) == _whole(newest)), None)
        if listed is not None:
            return listed
        name = self._free(newest, beside=None)
        self._admitted = {name: newest, **self._admitted}
        self._listed.pop(name, None)
        return name

    def _free(self, path: Path, *, beside: str | None) -> str:
        """A file's own name; after the folders above where others are called that: what is listed, and `beside`."""
        whole = _whole(path)
        shelved = [(name, _whole(one)) for name, one in self._shelved()]
        taken = {name for name, one in shelved if one != whole}
        # And RUN is one run alone.
        taken |= {name.rpartition("/")[0] for name, one in shelved if one.parent != whole.parent}
        if beside is not None and _whole(self.find(beside).path) != whole:
            taken.add(beside)
        own = name_of(path)
        parts = [path.stem, *(part for part in reversed(whole.parent.parts) if part != runs.CHECKPOINTS)]
        names = ("/".join(reversed(parts[:count])) for count in range(1, len(parts) + 1))
        longer = (name for name in names if name.endswith(own))
        return next(name for name in longer if name not in taken and (name.rpartition("/")[0] or name) not in taken)

    def _unchanged(self, name: str | None) -> Network | None:
        """A network that was listed under its full name before and whose file is still the same: no listing for it."""
        network = self._listed.get(name) if name is not None else None
        try:
            return network if network is not None and _stamp(network.path) == network.stamp else None
        except OSError:
            return None

    def _best(self) -> set[Path]:
        """The network files that runs name as their best."""
        found = set()
        for run in runs.runs(self.runs):
            try:
                found.add(runs.best(run))
            except DataError:
                continue  # another program's best.json marks nothing
        return {path for path in found if path is not None}

    def _files(self) -> Iterator[tuple[str, Path]]:
        yield from self._admitted.items()
        yield from ((name, path) for name, path in self._shelved() if name not in self._admitted)

    def _hidden(self) -> Iterator[tuple[str, Path]]:
        """Files that came into the folders after another one was opened by its path under the name they would have."""
        for name, path in self._shelved():
            if name in self._admitted and _whole(self._admitted[name]) != _whole(path):
                yield name, path

    def _shelved(self) -> Iterator[tuple[str, Path]]:
        """What lies in the two folders, under its name."""
        try:
            shipped = sorted(self.checkpoints.iterdir())
        except OSError:  # no such folder, or one that nobody may look into
            shipped = []
        for path in shipped:
            if path.suffix == SUFFIX and not path.name.startswith("."):
                yield path.stem, path
        for run in runs.runs(self.runs):
            for path in reversed(runs.checkpoints(run)):
                yield f"{run.name}/{path.stem}", path

    def _read(self, name: str, path: Path) -> Network:
        try:
            stamp = _stamp(path)
        except OSError:
            raise CheckpointError(f"there is no network at {path}; name a .safetensors file of Styloscope") from None
        known = self._known.get(path)
        if known is not None and known.stamp == stamp and known.name == name:
            return known
        try:
            about, digest = _about(path)
        except OSError as wrong:  # taken away, or locked, since the listing
            raise CheckpointError(f"{path} cannot be read ({wrong.strerror}); make it readable") from wrong
        config, _ = configs(path, about)
        crop, grown = about["picture"]["crop"], about.get("grown")
        grows = ARCHITECTURES[about["arch"]].grows
        return Network(
            name=name,
            path=path,
            sha=digest[:12],
            architecture=about["arch"],
            size=(crop[2], crop[3]),
            channels=config.channels,
            layers=2 * len(config.filters),
            classes=config.num_classes,
            class_names=_class_names(about.get("classes"), config.num_classes),
            sizes=tuple(config.level_sizes) if grows else (config.size,),
            grows=grows,
            grown=None if grown is None else ((grown["size"][0], grown["size"][1]), float(grown["alpha"])),
            credit=credit_of(path, about),
            stamp=stamp,
            about=about,
        )


def _class_names(given: Any, count: int) -> tuple[str, ...] | None:
    """A header's names of its classes, each a short line; None where there is not one for each."""
    if not count or not isinstance(given, list) or len(given) != count or not all(type(one) is str for one in given):
        return None
    lines = (" ".join("".join(c if c.isprintable() else " " for c in one[:200]).split()) for one in given)
    return tuple(line[:60] for line in lines)


def _about(path: Path) -> tuple[dict[str, Any], str]:
    """(header, SHA-256) of a file; that of another program's has what it becomes when opened, unread."""
    if foreign.recognise(path) is None:
        return read_about(path), sha256(path)
    about = foreign.about_of(path)
    return about, str(about["provenance"]["sha256"])


def _stamp(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_size
