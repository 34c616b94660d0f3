"""dataset.json: what a prepared training zip says about its pictures, and what those of other tools say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import DataError
from core.intensity import Intensity
from core.sources import MANIFEST, UNREADABLE, Folder, Zip

__all__ = ["Manifest"]

_MOST_BYTES = 512 * 1024**2


@dataclass(frozen=True)
class Manifest:
    """What a set says of itself. Keys are names of pictures inside it.

    `labels` are whole numbers from 0, as the dataset.json of StyleGAN2-ADA's own tool has them: {"labels": [[name,
    class], ...]}; `classes` are their names, `people` who is on a picture, `intensity` what all gray levels stand for,
    `intensities` what those of single pictures do where each scan has its own range.
    """

    labels: Mapping[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    people: Mapping[str, str] = field(default_factory=dict)
    intensity: Intensity | None = None
    intensities: Mapping[str, Intensity] = field(default_factory=dict)

    def unit(self, window: Intensity | None, *, name: str) -> Intensity | None:
        """What levels of the picture `name` stand for that went through a `window`, None for those as they are."""
        own = self.intensity or self.intensities.get(name)
        return window if own is None else own if window is None else own.through(window)

    @classmethod
    def of(cls, source: Folder | Zip) -> Manifest:
        """The dataset.json at the top of a source; an empty one where there is none. Raises DataError."""
        try:
            with source.stream(MANIFEST) as stream:
                said = json.loads(stream.read(_MOST_BYTES).decode("utf-8"))
        except (FileNotFoundError, IsADirectoryError, KeyError):
            return cls()
        except (*UNREADABLE, RecursionError) as wrong:
            raise DataError(f"{source.path} has a {MANIFEST} that cannot be read; mend it or take it out") from wrong
        return cls.read(said)

    @classmethod
    def read(cls, said: Any) -> Manifest:
        """From JSON; what is of another shape is passed over, since other tools' files have the same name."""
        if not isinstance(said, dict):
            return cls()
        pairs = said.get("labels") if isinstance(said.get("labels"), list) else []
        labels = {
            pair[0]: pair[1]
            for pair in pairs or []
            if isinstance(pair, list)
            and len(pair) == 2
            and isinstance(pair[0], str)
            and isinstance(pair[1], int)
            and 0 <= pair[1] < 2**20
        }
        people = said.get("people") if isinstance(said.get("people"), dict) else {}
        top = max(labels.values(), default=-1) + 1
        named = said.get("classes")
        if not (isinstance(named, list) and len(named) >= top and all(isinstance(name, str) for name in named)):
            named = [str(number) for number in range(top)]
        return cls(
            labels=labels,
            classes=tuple(named) if labels else (),
            people={name: who for name, who in (people or {}).items() if isinstance(who, str)},
            intensity=Intensity.read(said.get("intensity")),
            intensities=_intensities(said.get("intensities")),
        )


def _intensities(said: object) -> dict[str, Intensity]:
    """Those of single pictures, [slope, intercept, unit] each, by name."""
    found = {}
    for name, one in said.items() if isinstance(said, dict) else ():
        values = dict(zip(("slope", "intercept", "unit"), one, strict=False)) if isinstance(one, list) else None
        intensity = Intensity.read(values)
        if intensity is not None:
            found[name] = intensity
    return found
