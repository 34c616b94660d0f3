"""What a setting is: its default, its sentence, what it may be, and how it is read from a command line."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from core.errors import SettingError

__all__ = [
    "Setting",
    "decimal",
    "is_augment",
    "is_filters",
    "is_names",
    "is_size",
    "is_taps",
    "parse_size",
    "refuse_unknown",
    "setting_field",
    "switch",
    "whole",
]


@dataclass(frozen=True)
class Setting:
    """One setting as the command line and the manual see it."""

    name: str
    group: str
    help: str
    default: Any
    allowed: str
    read: Callable[[str], Any]
    check: Callable[[Any], bool]
    choices: tuple[str, ...] | None
    meaning: bool

    @property
    def flag(self) -> str:
        """The setting's flag on the command line."""
        return "--" + self.name.replace("_", "-")


def setting_field(
    default: Any,
    help: str,
    *,
    group: str,
    read: Callable[[str], Any] = str,
    check: Callable[[Any], bool] = lambda value: True,
    allowed: str = "",
    choices: tuple[str, ...] | None = None,
    meaning: bool = True,
) -> Any:
    """A dataclass field that knows its flag; `meaning`: a resumed run may not change it."""
    if choices is not None:
        allowed, check = "one of " + ", ".join(choices), lambda value: value in choices
    facts = {
        "group": group,
        "help": help,
        "read": read,
        "check": check,
        "allowed": allowed,
        "choices": choices,
        "meaning": meaning,
    }
    return field(default=default, metadata=facts)


def _numeric(
    kind: type,
    default: Any,
    help: str,
    *,
    group: str,
    low: float,
    high: float,
    auto: bool = False,
    meaning: bool = True,
) -> Any:
    """A whole or decimal number between `low` and `high`, both included; or the word auto where `auto`."""
    what = "a whole number" if kind is int else "a number"
    upper = f" to {high:.10g}" if math.isfinite(high) else " up"
    allowed = f"{what} from {low:.10g}{upper}" + (", or auto" if auto else "")

    def read(text: str) -> Any:
        return text if auto and text == "auto" else kind(text)

    def check(value: Any) -> bool:
        if auto and value == "auto":
            return True
        if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
            return False
        return math.isfinite(value) and low <= value <= high

    return setting_field(default, help, group=group, read=read, check=check, allowed=allowed, meaning=meaning)


def whole(default: Any, help: str, *, group: str, low: int, high: int = 2**31, **rest: Any) -> Any:
    """A whole number between `low` and `high`, both included."""
    return _numeric(int, default, help, group=group, low=low, high=high, **rest)


def decimal(default: Any, help: str, *, group: str, low: float, high: float = math.inf, **rest: Any) -> Any:
    """A number between `low` and `high`, both included."""
    return _numeric(float, default, help, group=group, low=low, high=high, **rest)


def switch(help: str, *, group: str, meaning: bool = True) -> Any:
    """On or off, off unless said."""
    return setting_field(
        False,
        help,
        group=group,
        read=lambda text: text == "true",
        check=lambda value: isinstance(value, bool),
        allowed="true or false",
        meaning=meaning,
    )


def parse_size(text: str, *, field_name: str = "size") -> tuple[int, int]:
    """Read `256` or `224x192` as (height, width). Raises SettingError naming the field."""
    found = re.fullmatch(r"([0-9]{1,5})(?:x([0-9]{1,5}))?", text.strip(), re.ASCII)
    if found is None:
        raise SettingError(field_name, text, "HEIGHTxWIDTH such as 224x192, one number for a square, or auto")
    return int(found[1]), int(found[2] or found[1])


def refuse_unknown(names: Iterable[str], *, known: Collection[str]) -> None:
    """Raise SettingError for the first name that no setting has, with the nearest of those that are `known`."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise SettingError("settings", name, f"no such setting{'; did you mean ' + near[0] if near else ''}")


def is_size(value: Any) -> bool:
    """Whether a value is a size, or auto."""
    return isinstance(value, str) and (value == "auto" or re.fullmatch(r"[0-9]{1,5}(x[0-9]{1,5})?", value) is not None)


def is_augment(value: Any) -> bool:
    """Whether a value is a word for augmentation."""
    if not isinstance(value, str):
        return False
    if value in ("none", "ada"):
        return True
    found = re.fullmatch(r"fixed:([0-9]+(\.[0-9]+)?|\.[0-9]+)", value, re.ASCII)
    return found is not None and float(found[1]) <= 1


def is_names(value: Any) -> bool:
    """Whether a value is names with commas between, or none."""
    return isinstance(value, str) and re.fullmatch(r"([a-z0-9_-]+(,[a-z0-9_-]+)*)?", value) is not None


def is_taps(value: Any) -> bool:
    """Whether a value is taps of a filter."""
    return (
        isinstance(value, str)
        and re.fullmatch(r"[0-9]+(\.[0-9]+)?(,[0-9]+(\.[0-9]+)?){0,15}", value) is not None
        and any(float(t) for t in value.split(","))
    )


def is_filters(value: Any) -> bool:
    """Whether a value is channels of levels, or auto."""
    return isinstance(value, str) and (
        value == "auto" or re.fullmatch(r"[1-9][0-9]{0,3}(,[1-9][0-9]{0,3})*", value) is not None
    )
