"""JSON as the standard has it, for text that anybody may have written."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["depth", "loads", "unrepeated"]


def loads(text: str | bytes, *, deepest: int, digits: int = 4300) -> Any:
    """JSON whose value can be written again: a name occurs once, numbers are finite, strings are text, UTF-8.

    Raises ValueError for anything else, where objects and lists are nested more than `deepest` deep (whoever shows such
    a value would run out of stack), and for a whole number of more than `digits` digits.
    """

    def whole(number: str) -> int:
        if len(number) > digits:
            raise ValueError("a number is too large")
        return int(number)

    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
        value = json.loads(text, parse_int=whole, object_pairs_hook=unrepeated)
        # NaN, 1e999 and half a surrogate pair can be read but not written.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except RecursionError as wrong:
        raise ValueError("it is nested too deeply") from wrong
    if depth(value) > deepest:
        raise ValueError("it is nested too deeply")
    return value


def depth(value: object) -> int:
    """How many objects and lists are nested in a value of JSON, 0 for a number."""
    found, level = 0, [value]
    while level := [one for one in level if isinstance(one, dict | list | tuple)]:
        found += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return found


def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A hook of json.loads. Raises ValueError that names what occurs twice in an object."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice[:60]} is given twice")
    return found
