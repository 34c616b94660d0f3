"""Recipe -> picture: the one room where that happens. It owns the loaded networks."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

import numpy as np
import torch
from torch import Tensor

from core import latents, pictures
from core.blas import one_blas_thread
from core.engine import Engine
from core.errors import CheckpointError, SettingError
from core.memory import keep_freed_memory
from core.stylegan2 import Noise
from explorer import kept
from explorer.enclosed import KEPT_KEY, enclose
from explorer.kept import Direction, Point
from explorer.networks import Network, Networks
from explorer.recipe import Grown, Recipe
from explorer.room import STYLES_AT_ONCE, Room, exactly

__all__ = ["PRECISIONS", "TEXT_KEY", "Frame", "Network", "Room", "Studio"]

PRECISIONS = ("auto", "float32", "bfloat16")
TEXT_KEY = "styloscope"
INTENSITY_KEY = "styloscope-intensity"
_MOST_ROOMS = 3
_MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


@dataclass(frozen=True)
class Frame:
    """One encoded picture. `milliseconds` is from recipe to pixels; `note` what a person should be told besides."""

    data: bytes
    media_type: str
    milliseconds: float
    precision: str
    device: str
    note: str | None = None


class Studio:
    """Turns recipes into pictures, one at a time whoever asks: every method may be called from any thread.

    checkpoints and runs are the folders whose networks can be named; `device` auto, cpu, cuda or mps; `precision` auto
    (previews may be bfloat16), float32 or bfloat16 (everything is). The process keeps memory that it frees.
    """

    def __init__(
        self,
        checkpoints: str | Path = "checkpoints",
        runs: str | Path = "runs",
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        keep_freed_memory()
        one_blas_thread()
        self._networks = Networks(checkpoints=checkpoints, runs=runs)
        self._device = device
        self._precision = precision
        self._rooms: OrderedDict[Path, Room] = OrderedDict()
        self._drawing = RLock()
        self._listing = RLock()

    def networks(self) -> list[Network]:
        """Every network that can be opened."""
        with self._listing:
            return self._networks.all()

    def be_discreet(self) -> None:
        """From now on name files and folders in errors without saying where they lie; a server's visitors read them."""
        self._networks.discreet = True

    @property
    def folders(self) -> tuple[Path, Path]:
        """The folders of checkpoints and of runs."""
        return self._networks.checkpoints, self._networks.runs

    def refused(self) -> dict[Path, str]:
        """Files that the last `networks()` could not read, and why."""
        with self._listing:
            return dict(self._networks.refused)

    def nothing(self) -> str:
        """The sentence for when there is no network at all."""
        return self._networks.nothing()

    def network(self, name: str | None = None) -> Network:
        """The network of that name, without its weights; the default one for None. Raises CheckpointError."""
        with self._listing:
            return self._networks.find(name)

    def admit(self, text: str, *, beside: str | None = None) -> str:
        """Take a name or any path, from the command line alone, and return the name to use. Raises CheckpointError.

        `beside` is the name of another network, which stays known.
        """
        with self._listing:
            return self._networks.admit(text, beside=beside)

    def prefer(self, text: str) -> str:
        """Admit a network, and mean it wherever a recipe names none. Raises CheckpointError."""
        with self._listing:
            self._networks.preferred = self._networks.admit(text)
            return self._networks.preferred

    def admit_run(self, text: str) -> str:
        """The name of the newest network of a run, given by name or path. Raises SettingError, CheckpointError."""
        with self._listing:
            return self._networks.admit_run(text)

    def open(self, name: str | None = None) -> Room:
        """A network with its weights; the three used last stay loaded, and a changed file is loaded again."""
        return self._room(self.network(name))

    def _room(self, network: Network) -> Room:
        with self._drawing:
            room = self._rooms.pop(network.path, None)
            if room is None or room.network.stamp != network.stamp:
                try:
                    room = Room(network, device=self._device, precision=self._precision)
                except CheckpointError as wrong:
                    raise self._networks.told(wrong, network.path) from wrong
            self._rooms[network.path] = room
            while len(self._rooms) > _MOST_ROOMS:
                self._rooms.popitem(last=False)
            return room

    def check(self, recipe: Recipe) -> Network:
        """Check a recipe against its network's header, before anything is loaded, and return the network.

        Raises SettingError naming field, value and range; CheckpointError where there is no such network.
        """
        network = self.network(recipe.checkpoint)
        for place, entry in recipe.entries():
            named = dict(entry.given).get("checkpoint")
            if named not in (None, recipe.checkpoint) and not self._is(network, named):
                shown = recipe.checkpoint or network.name
                raise SettingError(f"{place}.checkpoint", named, f"it has to be {shown}, like the rest of the recipe")
        _check(recipe, network)
        return network

    def _is(self, network: Network, name: str) -> bool:
        """Whether a name is one of those that a network can be found by."""
        try:
            return self.network(name).path.resolve() == network.path.resolve()
        except CheckpointError:
            return False

    def ws(self, recipe: Recipe) -> Tensor:
        """The finished styles of a recipe, float32 [num_ws, w_dim]."""
        network = self.check(recipe)
        with self._drawing, exactly():
            return _styles(self._room(network), recipe)[0]

    def inputs(self, recipe: Recipe) -> tuple[Room, Tensor, Noise]:
        """What a recipe's picture is synthesised from: its room, its ws [num_ws, w_dim], its noise."""
        network = self.check(recipe)
        with self._drawing, exactly():
            room = self._room(network)
            return room, *_styles(room, recipe)

    def styles(self, name: str | None, seeds: Sequence[int], *, label: int | Sequence[int] | None = None) -> np.ndarray:
        """w of many seeds, untruncated, float32 [N, w_dim]: in batches, so the last bits are not those of `ws`.

        `label` is the class of all of them, or one for each.
        """
        room = self.open(name)
        batches = []
        for start in range(0, len(seeds), STYLES_AT_ONCE):
            z = latents.seeds_to_z(list(seeds[start : start + STYLES_AT_ONCE]), room.generator.z_dim)
            own = label[start : start + STYLES_AT_ONCE] if isinstance(label, Sequence) else label
            with self._drawing, torch.inference_mode():
                batches.append(room.map_z(z, own).float().numpy())
        return np.concatenate(batches)

    def exact(self, recipe: Recipe, *, bits: int = 8, precision: str = "auto") -> np.ndarray:
        """The picture in float32 as people see it, [H, W] or [H, W, 3]: the same pixels by every way in.

        uint8, or uint16 where `bits` is 16. `precision` float32 or bfloat16 says another than the studio's.
        """
        return self._draw(recipe, self.check(recipe), exact=True, bits=bits, precision=precision)[0]

    def preview(self, recipe: Recipe) -> np.ndarray:
        """The picture as fast as it comes, uint8 [H, W] or [H, W, 3]; a level or a few beside the exact one."""
        return self._draw(recipe, self.check(recipe), exact=False)[0]

    def frame(
        self,
        recipe: Recipe,
        *,
        format: str = "png",
        size: int | None = None,
        exact: bool = True,
        bits: int = 8,
        precision: str = "auto",
    ) -> Frame:
        """One encoded picture ("png", "jpeg" or "webp"), shrunk to `size` pixels on its longer side where given.

        `bits` 16 is for PNG alone, whose text then says what levels stand for. `precision` auto is the exact engine's
        or the preview's, as `exact` says; float32 and bfloat16 are taken at their word. Raises SettingError.
        """
        if format not in _MEDIA_TYPES:
            raise SettingError("format", format, "png, jpeg or webp")
        if bits != 8 and (bits != 16 or format != "png"):
            raise SettingError("bits", bits, "8, or 16 as png")
        # Looked up once: the newest network of a run that trains is another one from one moment to the next.
        network = self.check(recipe)
        picture, engine, milliseconds = self._draw(recipe, network, exact=exact, bits=bits, precision=precision)
        text = self._text(recipe, network, bits=bits) if format == "png" else None
        return Frame(
            data=pictures.encode(_shrunk(picture, size), format, text),
            media_type=_MEDIA_TYPES[format],
            milliseconds=milliseconds,
            precision=str(engine.precision),
            device=str(engine.device),
            note=self._note(recipe, network),
        )

    def _draw(
        self, recipe: Recipe, network: Network, *, exact: bool, bits: int = 8, precision: str = "auto"
    ) -> tuple[np.ndarray, Engine, float]:
        """The picture, the engine that made it, and the milliseconds from recipe to pixels."""
        if precision not in PRECISIONS:
            raise SettingError("precision", precision, "auto, float32 or bfloat16")
        alone = exact if precision == "auto" else precision == "float32"
        with self._drawing, exactly() if alone else torch.inference_mode():
            room = self._room(network)
            if precision == "auto":
                engine = room.exact if exact else room.preview
            else:
                engine = room.engine(precision)
            start = time.perf_counter()
            ws, noise = _styles(room, recipe)
            size, alpha = room.network.growth(recipe.grown)
            image = engine.synthesis(ws[None], noise, size, alpha)
            levels = pictures.to_16bit(image) if bits == 16 else pictures.to_8bit(image)
            picture = pictures.crop(levels[0], room.network.window(recipe.grown))
            return picture, engine, 1000 * (time.perf_counter() - start)

    def text(self, recipe: Recipe, *, bits: int = 8) -> dict[str, str]:
        """The text chunk that a PNG of this recipe carries: all of the recipe, the network's full name, its sha.

        A second one encloses the points and directions that it names. One of 16 bits has another, where it is known
        what levels stand for: {"slope", "intercept", "unit"}.
        """
        return self._text(recipe, self.network(recipe.checkpoint), bits=bits)

    def _text(self, recipe: Recipe, network: Network, *, bits: int) -> dict[str, str]:
        chunks = {TEXT_KEY: json.dumps(recipe.of_network(network.name, network.sha).full())}
        enclosed = enclose(self._kept(recipe, network))
        if enclosed is not None:
            chunks[KEPT_KEY] = enclosed
        if bits == 16 and network.intensity is not None:
            chunks[INTENSITY_KEY] = json.dumps(network.intensity.values())
        return chunks

    def warning(self, recipe: Recipe) -> str | None:
        """One sentence where the network of a recipe is not drawn on the device that was asked for, else None."""
        with self._drawing:
            return self.open(recipe.checkpoint).exact.warning

    def note(self, recipe: Recipe) -> str | None:
        """One sentence where the recipe, or a point or direction in it, is of another network, else None."""
        return self._note(recipe, self.network(recipe.checkpoint))

    def _note(self, recipe: Recipe, network: Network) -> str | None:
        if recipe.sha is not None and recipe.sha != network.sha:
            return f"this recipe was made with another network named {network.name} ({recipe.sha}, here {network.sha})"
        for one in self._kept(recipe, network):
            sha = one.about.get("sha")
            if isinstance(sha, str) and sha != network.sha:
                return f"{one.name} was found with another network ({sha[:12]}, here {network.sha})"
        return None

    def _kept(self, recipe: Recipe, network: Network) -> list[Point | Direction]:
        """The points and the kept directions that a recipe names."""
        points, steered = _kept_names(recipe)
        if not points and not steered:
            return []
        room = self._room(network)
        return [*map(room.point, points), *map(room.direction, steered)]


# --- from words to numbers ---------------------------------------------------------------------------------------


def _check(recipe: Recipe, network: Network) -> None:
    _check_grown(recipe.grown, network)
    ends = [recipe, recipe.end] if recipe.toward is not None and recipe.toward.space == "z" else []
    if not recipe.blend and any(one is not None and one.point is not None for one in ends):
        raise SettingError("toward.space", "z", "a point has no z; walk in w instead")
    for place, one in _named_pictures(recipe):
        _check_picture(place, one, network)


def _check_grown(grown: Grown | None, network: Network) -> None:
    if grown is None or (network.grows and grown.size in network.sizes):
        return
    shown, *known = ("x".join(map(str, size)) for size in (grown.size, *network.sizes))
    if network.grows:
        raise SettingError("grown.size", shown, f"{network.name} grew through {', '.join(known)}")
    reason = f"{network.name} is a {network.architecture}, which does not grow; leave it out"
    raise SettingError("grown", shown, reason)


def _check_picture(place: str, one: Recipe, network: Network) -> None:
    """Check a plain picture, whose fields begin with `place`."""
    _check_label(f"{place}label", one.label, network)
    if one.cutoff is not None and one.cutoff > network.layers:
        raise SettingError(f"{place}cutoff", one.cutoff, f"{network.name} has {network.layers} layers, so 0 to that")
    _check_point(f"{place}point", one.point, network)
    for index, source in enumerate(one.mix):
        where = f"{place}mix[{index}]."
        _check_point(f"{where}point", source.point, network)
        _check_label(f"{where}label", source.label, network)
        _check_layers(f"{where}layers", source.layers, network)
    for index, steer in enumerate(one.steer):
        where = f"{place}steer[{index}]."
        _check_direction(f"{where}direction", steer.direction, network)
        _check_layers(f"{where}layers", steer.layers, network)


def _check_label(place: str, label: int | None, network: Network) -> None:
    if label is None or 0 <= label < network.classes:
        return
    known = f"classes 0 to {network.classes - 1}" if network.classes else "no classes, so leave it out"
    shown = label if abs(label) < 10**18 else "a very large number"
    raise SettingError(place, shown, f"{network.name} has {known}")


def _check_layers(place: str, layers: str | None, network: Network) -> None:
    if layers is not None:
        latents.parse_layers(layers, network.layers, field=place)


def _check_point(place: str, name: str | None, network: Network) -> None:
    if name is not None and kept.find(network, "points", name) is None:
        raise SettingError(place, name, f"no point of that name is kept beside {network.name}")


def _check_direction(place: str, name: str, network: Network) -> None:
    found = kept.BUILT_IN.fullmatch(name)
    if found is None:
        if kept.find(network, "directions", name) is None:
            raise SettingError(place, name, f"no direction of that name is kept beside {network.name}")
    elif int(found[2]) >= network.w_dim or (found[3] is not None and found[1] == "pca"):
        raise SettingError(place, name, f"{found[1]}-0 to {found[1]}-{network.w_dim - 1} are there")
    elif found[3] is not None:
        latents.parse_layers(f"{found[3]}-{found[4]}", network.layers, field=place)


def _kept_names(recipe: Recipe) -> tuple[list[str], list[str]]:
    """The points and the kept directions that a recipe names."""
    pictures = [one for _, one in _named_pictures(recipe)]
    named = [source.point for one in pictures for source in one.mix] + [one.point for one in pictures]
    points = [name for name in named if name is not None]
    steered = [steer.direction for one in pictures for steer in one.steer]
    return points, [name for name in steered if not kept.BUILT_IN.fullmatch(name)]


def _named_pictures(recipe: Recipe) -> list[tuple[str, Recipe]]:
    """Every plain picture in a recipe that counts, with the place of its fields."""
    if recipe.blend:
        return [(f"blend[{index}].", recipe.other(entry)) for index, entry in enumerate(recipe.blend)]
    return [("", recipe)] + ([("toward.", recipe.end)] if recipe.end is not None else [])


def _styles(room: Room, recipe: Recipe) -> tuple[Tensor, Noise]:
    """Finished ws [num_ws, w_dim] and noise of a recipe, in the contract's order."""
    toward = recipe.toward
    if toward is not None and toward.space == "z" and 0 < toward.t < 1 and not recipe.blend:
        end = recipe.end
        assert end is not None
        ends = latents.seeds_to_z([recipe.seed, end.seed], room.generator.z_dim)
        z = latents.slerp(ends[:1], ends[1:], toward.t)
        return _finished(room, recipe, room.map_z(z, recipe.label)), recipe.noise
    parts = recipe.pictures()
    weights = [weight for weight, _ in parts]
    finished = [_finished(room, one, room.source(one, one.label)) for _, one in parts]
    if toward is not None and not recipe.blend and len(parts) == 2:
        ws = latents.lerp(finished[0], finished[1], toward.t)
    else:
        ws = finished[0] if len(parts) == 1 else latents.weighted(finished, weights)
    return ws, _noise(room, [_noise_of(room, one) for _, one in parts], weights)


def _finished(room: Room, recipe: Recipe, w: Tensor) -> Tensor:
    """ws [num_ws, w_dim] of a plain picture: its w [1, w_dim] or ws [1, num_ws, w_dim] truncated, mixed, steered."""
    generator = room.generator
    ws = generator.truncate(w, psi=recipe.psi, cutoff=recipe.cutoff)[0]
    for entry in recipe.mix:
        label = recipe.label if entry.label is None else entry.label
        source = generator.truncate(room.source(entry, label), psi=recipe.psi, cutoff=recipe.cutoff)[0]
        ws = latents.mix(ws, source, _layers(entry.layers, generator.num_ws), entry.amount)
    for steer in recipe.steer:
        if steer.amount:
            direction = room.direction(steer.direction)
            step = torch.from_numpy(direction.vector) * (steer.amount * direction.sd)
            ws = ws.clone()
            ws[list(_layers(steer.layers, generator.num_ws))] += step.to(ws)
    return ws


def _layers(words: str | None, count: int) -> Sequence[int]:
    return range(count) if words is None else latents.parse_layers(words, count)


def _noise_of(room: Room, recipe: Recipe) -> str | int | Point:
    """The noise of a plain picture: a point's own maps, where it was found with some, are its `const`."""
    if recipe.noise == "const" and recipe.point is not None:
        point = room.point(recipe.point)
        if point.noise is not None:
            return point
    return recipe.noise


def _noise(room: Room, words: list[str | int | Point], weights: list[float]) -> Noise:
    """The noise of a sum of pictures: their common word, or the weighted sum of their maps."""
    counting = [(word, weight) for word, weight in zip(words, weights, strict=True) if weight != 0]
    first = counting[0][0]
    if all(word is first or (not isinstance(word, Point) and word == first) for word, _ in counting):
        return [torch.from_numpy(one) for one in first.noise or ()] if isinstance(first, Point) else first
    total: dict[int, Tensor] = {}
    synthesis = room.generator.synthesis
    for word, weight in counting:
        given: Noise = [torch.from_numpy(one) for one in word.noise or ()] if isinstance(word, Point) else word
        for layer, one in enumerate(synthesis.noise_maps(given, 1, room.generator.w_avg)):
            if one is not None:
                total[layer] = total.get(layer, torch.zeros_like(one)) + weight * one
    zeros = [torch.zeros(shape) for shape in room.generator.noise_shapes]
    return [total.get(layer, zero) for layer, zero in enumerate(zeros)]


def _shrunk(picture: np.ndarray, size: int | None) -> np.ndarray:
    longer = max(picture.shape[:2])
    if size is None or size >= longer:
        return picture
    height, width = (max(1, round(side * size / longer)) for side in picture.shape[:2])
    return pictures.resize(picture, (height, width))
