"""Pictures at times, and the way between them: a small frozen value, and the same as JSON. Its frames are recipes.

Times are worked with in frames: a key within a millionth of a frame is on it, so that a frame that meets a key is that
key's own recipe. static/paths.js does the same arithmetic in the same order, for the same recipes to the bit.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from core.errors import SettingError
from core.latents import EASES, ease
from explorer import schema
from explorer.recipe import Recipe, between, blended

__all__ = [
    "FEWEST_FPS",
    "FPS",
    "MOST_FPS",
    "MOST_FRAMES",
    "MOST_KEYS",
    "SPLINES",
    "Key",
    "Timeline",
    "alone",
    "loaded",
    "spline_weights",
]

MOST_FRAMES = 5000
MOST_KEYS = 256
FEWEST_FPS = 0.1
MOST_FPS = 240
FPS = f"a number from {FEWEST_FPS} to {MOST_FPS}"
SPLINES = ("linear", "catmull-rom")
_LONGEST = MOST_FRAMES / FEWEST_FPS  # seconds
_SECONDS = f"seconds from 0 to {_LONGEST:g}"
_NEAR = 1e-6  # of a frame
_FORMAT = 1
_KNOWN = ("format", "fps", "loop", "spline", "space", "duration", "keys")
_KNOWN_OF_KEY = ("recipe", "time", "ease")


@dataclass(frozen=True)
class Key:
    """A picture, its time in seconds, and how the stretch from there is eased: one of core.latents.EASES."""

    recipe: Recipe
    time: float
    ease: str = "linear"


@dataclass(frozen=True)
class Timeline:
    """Two keys or more at ascending times, and the way through their finished ws.

    `spline` linear goes straight from key to key, catmull-rom smoothly through all of them. A `loop` goes on from the
    last key to the first in what `duration` leaves after it (seconds; None: one mean stretch more than the last key),
    and the frame after its last is its first; otherwise the last picture stays until `duration`. `space` z takes plain
    seeds around in z, along straight stretches alone. Raises SettingError naming what is out of range.
    """

    keys: tuple[Key, ...]
    fps: float = 24.0
    loop: bool = False
    spline: str = "linear"
    space: str = "w"
    duration: float | None = None

    def __post_init__(self) -> None:
        self._check_words()
        times = [key.time for key in self.keys]
        for time in times:
            if not (math.isfinite(time) and 0 <= time <= _LONGEST):
                raise SettingError("time", time, _SECONDS)
        if len(times) < 2:
            raise SettingError("keys", f"{len(times)} of them", "a timeline needs at least 2")
        if self.duration is not None and not (math.isfinite(self.duration) and 0 <= self.duration <= _LONGEST):
            raise SettingError("duration", self.duration, _SECONDS)
        places = self._places
        for (here, there), (time, later) in zip(pairwise(places), pairwise(times), strict=True):
            if there <= here:
                raise SettingError("time", later, f"times ascend, so later than {time:g}")
        if self._end < places[-1] or (self.loop and self._end + places[0] <= places[-1]):
            kind = "more" if self.loop else "no less"
            raise SettingError("duration", self.duration, f"{kind} than the time of the last key, {times[-1]:g} s")
        if self.count > MOST_FRAMES:
            raise SettingError("duration", self.seconds, f"a film has at most {MOST_FRAMES} frames, not {self.count}")
        self._check_network()
        self._check_one("grown", "the usual size")
        for index in range(len(places) - (not self.loop)):
            self._within(index, 0.5)

    def _check_words(self) -> None:
        if not FEWEST_FPS <= self.fps <= MOST_FPS:
            raise SettingError("fps", self.fps, FPS)
        if self.spline not in SPLINES:
            raise SettingError("spline", self.spline, "linear or catmull-rom")
        if self.space not in ("w", "z"):
            raise SettingError("space", self.space, "w or z")
        if self.space == "z" and self.spline != "linear":
            raise SettingError("space", "z", "a smooth curve goes through w; take spline linear, or space w")
        for key in self.keys:
            if key.ease not in EASES:
                raise SettingError("ease", key.ease, "one of " + ", ".join(EASES))

    def _check_one(self, name: str, usual: str) -> None:
        """Raise SettingError where pictures differ in that field, of which `usual` stands for none."""
        first, *others = (getattr(recipe, name) for recipe in self.recipes)
        other = next((one for one in others if one != first), first)
        if other != first:
            shown, kept = (usual if one is None else str(one) for one in (other, first))
            raise SettingError(name, shown, f"a walk keeps one {name}, here {kept}")

    def _check_network(self) -> None:
        self._check_one("checkpoint", "the usual network")

    @classmethod
    def parse(cls, given: str | bytes | Mapping[str, Any], *, base: Mapping[str, Any] | None = None) -> Timeline:
        """Read a timeline from JSON text or the object it spells; `base` is what its recipes leave open.

        A picture that names no network is of the one that others name. Which names are one network's, the studio knows:
        names that differ stay for `with_recipes`, which takes those of the networks found. Raises SettingError naming
        the place and what is allowed: an unknown key, more than MOST_KEYS keys, a recipe that cannot be, a stretch
        whose pictures have more than 64 entries together.
        """
        values = _object(loaded(given) if isinstance(given, str | bytes) else given, "the timeline", _KNOWN)
        if values.get("format", _FORMAT) != _FORMAT:
            raise SettingError("format", values["format"], f"{_FORMAT}; a newer one needs a newer Styloscope")
        listed = values.get("keys")
        if not isinstance(listed, list) or not 2 <= len(listed) <= MOST_KEYS:
            raise SettingError("keys", _shown(listed), f"a list of 2 to {MOST_KEYS} keys")
        if not isinstance(values.get("loop", False), bool):
            raise SettingError("loop", _shown(values["loop"]), "true or false")
        more: dict[str, Any] = {name: values[name] for name in ("loop", "spline", "space") if name in values}
        for name in ("spline", "space"):
            if not isinstance(more.get(name, ""), str):
                raise SettingError(name, _shown(more[name]), "a word")
        if "fps" in values:
            more["fps"] = _number("fps", values["fps"], FPS)
        if values.get("duration") is not None:
            more["duration"] = _number("duration", values["duration"], _SECONDS)
        keys = [_key(one, f"keys[{index}]", base or {}) for index, one in enumerate(listed)]
        named = next((key.recipe.checkpoint for key in keys if key.recipe.checkpoint is not None), None)
        keys = [replace(key, recipe=_named(key.recipe, named)) for key in keys]
        spelled = {key.recipe.checkpoint for key in keys}
        made = (cls if len(spelled) == 1 else _Spelled)(tuple(keys), **more)
        for index in range(len(listed) - (not made.loop)):
            # What the page would be refused for such a frame, the command line refuses too.
            Recipe.parse(made._within(index, 0.5).to_dict())
        return made

    def to_dict(self) -> dict[str, Any]:
        """The timeline as JSON values, recipes without what is at its default."""
        told: dict[str, Any] = {"format": _FORMAT, "fps": self.fps, "loop": self.loop, "spline": self.spline}
        if self.space != "w":
            told["space"] = self.space
        if self.duration is not None:
            told["duration"] = self.duration
        keys = [{"recipe": key.recipe.to_dict(), "time": key.time, "ease": key.ease} for key in self.keys]
        return {**told, "keys": keys}

    def json(self) -> str:
        """The canonical JSON: one line of ASCII."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    def with_recipes(self, recipes: list[Recipe]) -> Timeline:
        """The same timeline with these pictures in their order, which are of one network. Raises SettingError."""
        keys = [replace(key, recipe=recipe) for key, recipe in zip(self.keys, recipes, strict=True)]
        return Timeline(tuple(keys), self.fps, self.loop, self.spline, self.space, self.duration)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The pictures of the keys."""
        return tuple(key.recipe for key in self.keys)

    @property
    def seconds(self) -> float:
        """How long it lasts: `duration`, or what stands for it."""
        last = self.keys[-1].time
        if self.duration is not None:
            return self.duration
        return last + (last - self.keys[0].time) / (len(self.keys) - 1) if self.loop else last

    @property
    def count(self) -> int:
        """The number of frames; of a loop without the one that is the first again."""
        return self._end + (not self.loop)

    def frame(self, index: int) -> Recipe:
        """The recipe of frame `index`, which stands for 1/fps seconds."""
        places = self._places
        place = float(index)
        if self.loop:
            place = place % self._end
            if place < places[0]:
                place += self._end
        before = sum(one <= place for one in places) - 1
        if before < 0 or (before == len(places) - 1 and not self.loop):
            return self.keys[max(before, 0)].recipe
        here, there = places[before], self._place(before + 1)
        return self._within(before, (place - here) / (there - here))

    def frames(self) -> list[Recipe]:
        """The recipe of each frame."""
        return [self.frame(index) for index in range(self.count)]

    @property
    def _joined(self) -> tuple[Recipe, ...]:
        """The pictures as stretches join them."""
        return self.recipes

    @cached_property
    def _places(self) -> list[float]:
        """Where the keys stand, in frames."""
        return [_snapped(key.time * self.fps) for key in self.keys]

    @cached_property
    def _end(self) -> int:
        """The frames of a loop, or the last frame: `seconds` in whole frames, none of it lost."""
        return math.ceil(_snapped(self.seconds * self.fps))

    def _place(self, index: int) -> float:
        """Where key `index` stands, of a loop also around its ends."""
        turns, inside = divmod(index, len(self.keys))
        return self._places[inside] + turns * self._end

    def _within(self, index: int, t: float) -> Recipe:
        """The recipe the share t of the time of the stretch that begins at key `index`."""
        total, pictures = len(self.keys), self._joined
        share = ease(t, self.keys[index].ease)
        if share == 0:
            return self.keys[index].recipe
        if self.spline == "linear":
            return between(pictures[index], pictures[(index + 1) % total], share, space=self.space)
        around = range(index - 1, index + 3)
        there = [self._place(one) if self.loop or 0 <= one < total else None for one in around]
        weights: dict[int, float] = {}
        for one, place, weight in zip(around, there, spline_weights(share, there), strict=True):
            if place is not None:
                weights[one % total] = weights.get(one % total, 0.0) + weight
        return blended([(weight, pictures[one]) for one, weight in weights.items() if weight != 0])


class _Spelled(Timeline):
    """A timeline whose pictures name their network in more than one way, or more than one: it was just read."""

    def _check_network(self) -> None:
        """Nothing here says which names are one network's."""

    @property
    def _joined(self) -> tuple[Recipe, ...]:
        return tuple(replace(recipe, checkpoint=self.keys[0].recipe.checkpoint) for recipe in self.recipes)


def _named(recipe: Recipe, name: str | None) -> Recipe:
    return recipe if recipe.checkpoint is not None else replace(recipe, checkpoint=name)


def loaded(text: str | bytes) -> Any:
    """Parse a timeline's JSON strictly, as that of a recipe. Raises SettingError."""
    try:
        return schema.loads(text)
    except SettingError as wrong:
        raise SettingError("timeline", wrong.value, wrong.allowed) from wrong


def alone(settings: Mapping[str, object]) -> None:
    """Raise SettingError for a setting beside a timeline, which says all of that itself."""
    for name, value in settings.items():
        if value is not None and value is not False:
            raise SettingError(name, _shown(value), "a timeline says it itself; leave out one of the two")


def spline_weights(u: float, places: list[float | None]) -> list[float]:
    """Weights, which sum to 1, of four keys at the share u between the second and the third.

    The cubic Hermite curve through both whose velocity at each key is that from the key before it to the one after it,
    (p[k+1] - p[k-1]) / (t[k+1] - t[k-1]) (Catmull and Rom 1974, with times of its own): however uneven the times, no
    outer weight leaves -4/27 .. 0. Where there is no key beyond (None), it is that of the stretch itself.
    """
    before, here, there, after = places
    assert here is not None and there is not None
    square = u * u
    cube = square * u
    leaving = cube - 2 * square + u  # of the velocity at the second key
    arriving = cube - square
    weights = [0.0, 2 * cube - 3 * square + 1, 3 * square - 2 * cube, 0.0]
    length = there - here
    out = leaving if before is None else leaving * (length / (there - before))
    back = arriving if after is None else arriving * (length / (after - here))
    weights[1 if before is None else 0] -= out
    weights[2] += out
    weights[1] -= back
    weights[2 if after is None else 3] += back
    return weights


def _snapped(place: float) -> float:
    """The whole frame that a place is within a millionth of, else the place."""
    near = math.floor(place + 0.5)
    return float(near) if abs(place - near) < _NEAR else place


def _key(given: object, place: str, base: Mapping[str, Any]) -> Key:
    values = _object(given, place, _KNOWN_OF_KEY)
    for name in ("recipe", "time"):
        if name not in values:
            raise SettingError(f"{place}.{name}", "nothing", f"each key of a timeline has a {name}")
    recipe = values["recipe"]
    if not isinstance(recipe, dict):
        raise SettingError(f"{place}.recipe", _shown(recipe), "a recipe, as a JSON object")
    how = values.get("ease", "linear")
    if how not in EASES:
        raise SettingError(f"{place}.ease", _shown(how), "one of " + ", ".join(EASES))
    try:
        parsed = Recipe.parse(recipe)
        if base:
            parsed = Recipe.parse({**base, **recipe})
    except SettingError as wrong:
        raise SettingError(f"{place}.recipe.{wrong.field}", wrong.value, wrong.allowed) from wrong
    return Key(parsed, _number(f"{place}.time", values["time"], _SECONDS), how)


def _object(given: object, place: str, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise SettingError(place, _shown(given), "an object with the keys " + ", ".join(known))
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name)[:80], known, n=1)
            guess = f"did you mean {near[0]}?" if near else "the known ones are " + ", ".join(known)
            raise SettingError(f"a key of {place}", str(name)[:80], guess)
    return given


def _number(place: str, value: object, allowed: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e9:
        raise SettingError(place, _shown(value), allowed)
    return float(value)


def _shown(value: object) -> object:
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return value if isinstance(value, float) else str(value)[:80]
