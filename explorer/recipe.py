"""A picture, said in words: a small frozen value, and the same as JSON.

`toward` and each entry of `blend` is another picture: any field of a recipe but `toward` and `blend` themselves
(nothing nests), those left out being this recipe's. All of a recipe is one network's and one growth's, so a
`checkpoint` or `grown` in there has to be this recipe's too; which names are one network's, the studio knows. With
space `z` only the seed of `toward` counts.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

from core.errors import SettingError
from explorer import schema

__all__ = [
    "MOST_SOURCES",
    "Blend",
    "Grown",
    "Mix",
    "Recipe",
    "Steer",
    "Toward",
    "between",
    "blended",
    "parse_grown",
]

MOST_SOURCES = 256
_GROWN = re.compile(r"(\d{1,4})x(\d{1,4})(?::((?=\.?\d)\d{0,3}(?:\.\d{0,20})?(?:e-\d{1,3})?))?", re.ASCII)

Given = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Mix:
    """ws[l] <- (1 - amount) ws[l] + amount source[l] in `layers` (None: all of them), the source truncated alike.

    `label` None is the class of the picture that it is mixed into.
    """

    seed: int = 0
    point: str | None = None
    label: int | None = None
    layers: str | None = None
    amount: float = 1.0


@dataclass(frozen=True)
class Steer:
    """`amount` standard deviations of w along a named direction, in `layers` (None: all of them)."""

    direction: str
    amount: float = 1.0
    layers: str | None = None


@dataclass(frozen=True)
class Toward:
    """Another picture, the share t of the way to it, and the space of the way. `given` are the fields it names."""

    given: Given = ()
    t: float = 0.0
    space: str = "w"


@dataclass(frozen=True)
class Blend:
    """Another picture and its weight. `given` are the fields it names."""

    given: Given = ()
    weight: float = 1.0


@dataclass(frozen=True)
class Grown:
    """What a growing network showed at `size` (height, width) while the newest layers had the share `alpha`."""

    size: tuple[int, int]
    alpha: float = 1.0

    def __str__(self) -> str:
        """As the flag --grown has it: 56x48:0.3, or 56x48 where alpha is 1."""
        shown = "x".join(map(str, self.size))
        return shown if self.alpha == 1 else f"{shown}:{self.alpha!r}"


def parse_grown(text: object) -> dict[str, Any]:
    """Read `56x48:0.3`, or `56x48` with alpha 1, as the JSON value of `grown`. Raises SettingError."""
    found = _GROWN.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise SettingError("grown", text, "HEIGHTxWIDTH or HEIGHTxWIDTH:ALPHA, such as 56x48:0.3")
    return {"size": [int(found[1]), int(found[2])], "alpha": float(found[3] or 1)}


@dataclass(frozen=True)
class Recipe:
    """Everything that says one picture. `sha` names the network file that it was once made with; it changes nothing."""

    checkpoint: str | None = None
    seed: int = 0
    point: str | None = None
    label: int | None = None
    psi: float = 0.7
    cutoff: int | None = None
    noise: str | int = "const"
    mix: tuple[Mix, ...] = ()
    steer: tuple[Steer, ...] = ()
    toward: Toward | None = None
    blend: tuple[Blend, ...] = ()
    grown: Grown | None = None
    sha: str | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, given: str | bytes | dict[str, Any]) -> Recipe:
        """Read a recipe from JSON text or the object it spells.

        Raises SettingError naming the key, its value and what is allowed; an unknown key with the nearest known one.
        """
        values = schema.checked(schema.loads(given) if isinstance(given, str | bytes) else given)
        for entry in [values.get("toward") or {}, *values.get("blend", ())]:
            # Left out, so that they stay with this recipe where its network is exchanged.
            if entry.get("checkpoint") in (None, values.get("checkpoint")):
                entry.pop("checkpoint", None)
        recipe = cls(**{name: _value(name, value) for name, value in values.items()})
        recipe._check_one_growth()
        ends = recipe._ends()
        sources = {(one.seed, one.label, one.point) for one in ends}
        sources |= {(one.seed, one.label, one.point) for end in ends for one in end.mix}
        if len(sources) > MOST_SOURCES:
            raise SettingError("recipe", f"{len(sources)} seeds", f"at most {MOST_SOURCES} of them in one picture")
        return recipe

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON values, keys in the contract's order, everything at its default left out."""
        default = Recipe()
        return {
            name: _plain(getattr(self, name)) for name in schema.RECIPE if getattr(self, name) != getattr(default, name)
        }

    def json(self) -> str:
        """The canonical JSON: one line, defaults left out; equal recipes give equal text."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    def full(self) -> dict[str, Any]:
        """The recipe as JSON values with the defaults filled in; of `seed` and `point` the one that counts."""
        values = {name: _plain(getattr(self, name)) for name in schema.RECIPE}
        del values["seed" if self.point is not None else "point"]
        if self.sha is None:
            del values["sha"]
        return values

    def with_seed(self, seed: int) -> Recipe:
        """This recipe of the picture of a seed: without point, toward and blend, which stand for other pictures."""
        return replace(self, seed=seed, point=None, toward=None, blend=())

    def with_point(self, name: str) -> Recipe:
        """This recipe of a point, without toward and blend."""
        return replace(self, point=name, toward=None, blend=())

    def of_network(self, name: str, sha: str) -> Recipe:
        """This recipe with its network's full name and sha; its other pictures, which are of that one, name none."""
        toward = self.toward and replace(self.toward, given=_of_no_network(self.toward.given))
        blend = tuple(replace(one, given=_of_no_network(one.given)) for one in self.blend)
        return replace(self, checkpoint=name, sha=sha, toward=toward, blend=blend)

    def entries(self) -> list[tuple[str, Toward | Blend]]:
        """What stands in `toward` and `blend`, each with its place."""
        toward = [] if self.toward is None else [("toward", self.toward)]
        return [*toward, *((f"blend[{index}]", one) for index, one in enumerate(self.blend))]

    def other(self, entry: Toward | Blend) -> Recipe:
        """The picture that an entry of `toward` or `blend` names, complete."""
        given = {name: value for name, value in entry.given if name not in ("checkpoint", "grown")}
        if "seed" in given:
            given.setdefault("point", None)
        return replace(self, **{"toward": None, "blend": (), **given})

    def pictures(self) -> list[tuple[float, Recipe]]:
        """The recipe as weighted plain pictures, finished ws of which add up to its own.

        One of weight 1 for a plain recipe, two for `toward` in w, the entries of `blend`. Raises SettingError for
        `toward` in z, whose ws are no such sum.
        """
        if self.blend:
            return [(entry.weight, self.other(entry)) for entry in self.blend]
        plain = replace(self, toward=None)
        if self.toward is None or self.toward.t == 0:
            return [(1.0, plain)]
        end = self.end
        assert end is not None
        if self.toward.t == 1:
            return [(1.0, end)]
        if self.toward.space == "z":
            raise SettingError("toward.space", "z", "a picture between seeds in z cannot be an end of another walk")
        return [(1 - self.toward.t, plain), (self.toward.t, end)]

    def _ends(self) -> list[Recipe]:
        if self.blend:
            return [self.other(entry) for entry in self.blend]
        return [self] if self.end is None else [self, self.end]

    @property
    def end(self) -> Recipe | None:
        """What `toward` shows at t 1: the other picture, in z this one with the other's seed; None without it."""
        if self.toward is None:
            return None
        other = self.other(self.toward)
        if self.toward.space == "w":
            return other
        return replace(self, seed=other.seed, point=other.point, toward=None, blend=())

    def _check_one_growth(self) -> None:
        for place, entry in self.entries():
            grown = dict(entry.given).get("grown")
            if grown is not None and grown != self.grown:
                shown = self.grown or "this recipe's"
                raise SettingError(
                    f"{place}.grown", _plain(grown), f"it has to be {shown}, like the rest of the recipe"
                )


def between(a: Recipe, b: Recipe, t: float, *, space: str = "w") -> Recipe:
    """The recipe the share `t` of the way from `a` to `b`; t 0 and 1 give `a` and `b` themselves.

    In w two plain pictures give a `toward`, anything else a flat `blend`. In z both have to be plain seeds that differ
    in nothing else, or a walk would jump where one stretch ends. Raises SettingError, also for another network.
    """
    for name in ("checkpoint", "grown"):
        if getattr(a, name) != getattr(b, name):
            raise SettingError(
                name, _plain(getattr(b, name)), f"a walk keeps one {name}, here {_plain(getattr(a, name))}"
            )
    if space == "z":
        for one in (a, b):
            if one.point is not None or one.blend or one.toward is not None:
                raise SettingError("space", "z", "only plain seeds have a z; walk in w instead")
        if replace(a, seed=b.seed) != b:
            raise SettingError("space", "z", "pictures that differ in more than their seed are joined in w")
    if not 0 < t < 1:
        return (a, b)[t >= 1]
    if space == "z":
        return replace(a, toward=Toward(given=(("seed", b.seed),), t=t, space="z"))
    if not (a.blend or a.toward or b.blend or b.toward):
        return replace(a, toward=Toward(given=_given(b, a), t=t))
    weighted = [(share * weight, one) for share, end in ((1 - t, a), (t, b)) for weight, one in end.pictures()]
    return blended(weighted)


def blended(weighted: list[tuple[float, Recipe]]) -> Recipe:
    """The recipe of a weighted sum of recipes of one network; its noise blends by the same weights.

    Raises SettingError where more than 64 plain pictures come together.
    """
    plain = [(weight * inner, one) for weight, recipe in weighted for inner, one in recipe.pictures()]
    if len(plain) > schema.MOST_ENTRIES:
        raise SettingError("blend", f"{len(plain)} entries", f"at most {schema.MOST_ENTRIES}")
    base = plain[0][1]
    return replace(base, blend=tuple(Blend(given=_given(one, base), weight=weight) for weight, one in plain))


def _given(recipe: Recipe, base: Recipe) -> Given:
    """A plain recipe as an entry of `base`: its seed or point, and what else differs."""
    source = "seed" if recipe.point is None else "point"
    differing = [name for name in schema.SHARED if getattr(recipe, name) != getattr(base, name)]
    return tuple((name, getattr(recipe, name)) for name in (source, *differing))


def _value(name: str, value: Any) -> Any:
    """A checked JSON value as the frozen value that a recipe holds."""
    if value is None:
        return None
    if name == "mix":
        return tuple(Mix(**entry) for entry in value)
    if name == "steer":
        return tuple(Steer(**entry) for entry in value)
    if name == "grown":
        return Grown(size=tuple(value["size"]), alpha=value["alpha"])
    if name == "toward":
        return Toward(**_entry(value, "t", "space"))
    if name == "blend":
        return tuple(Blend(**_entry(entry, "weight")) for entry in value)
    return value


def _of_no_network(given: Given) -> Given:
    return tuple((name, value) for name, value in given if name != "checkpoint")


def _entry(value: dict[str, Any], *own: str) -> dict[str, Any]:
    given = tuple((name, _value(name, inner)) for name, inner in value.items() if name not in own)
    return {"given": given, **{name: value[name] for name in own}}


def _plain(value: Any) -> Any:
    """A frozen value as JSON values, defaults left out inside lists."""
    if isinstance(value, Mix | Steer):
        default = type(value)() if isinstance(value, Mix) else Steer(direction="")
        return {
            name: inner
            for name, inner in vars(value).items()
            if inner != getattr(default, name) or (name == "seed" and value.point is None) or name == "amount"  # type: ignore[union-attr]
        }
    if isinstance(value, Toward):
        return {**{name: _plain(inner) for name, inner in value.given}, "t": value.t, "space": value.space}
    if isinstance(value, Blend):
        return {**{name: _plain(inner) for name, inner in value.given}, "weight": value.weight}
    if isinstance(value, Grown):
        return {"size": list(value.size), "alpha": value.alpha}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
