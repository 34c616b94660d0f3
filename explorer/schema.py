"""The JSON schema of a recipe, in the one place where it stands, and the check that reads it.

SCHEMA is plain JSON Schema (a small part of it); a node's `description` is what an error says is allowed.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from typing import Any, NoReturn

from core.errors import SettingError
from core.latents import SEED_LIMIT, parse_layers
from core.strict import unrepeated

__all__ = ["MOST_ENTRIES", "MOST_TEXT", "NAME", "RECIPE", "SCHEMA", "SHARED", "checked", "inner", "loads"]

MOST_ENTRIES = 64
MOST_TEXT = 1 << 20  # characters of JSON
_SUM_TOLERANCE = 1e-6

Node = dict[str, Any]


def _whole(lowest: int, highest: int, **more: Any) -> Node:
    return {
        "type": "integer", "minimum": lowest, "maximum": highest,
        "description": f"a whole number from {lowest} to {highest}", **more,
    }  # fmt: skip


def _number(lowest: float, highest: float, default: float) -> Node:
    words = f"a number from {lowest} to {highest}"
    return {"type": "number", "minimum": lowest, "maximum": highest, "default": default, "description": words}


def _or_null(node: Node) -> Node:
    return {**node, "type": [node["type"], "null"], "default": None, "description": f"{node['description']}, or null"}


def _object(properties: dict[str, Node], required: tuple[str, ...] = ()) -> Node:
    return {
        "type": "object", "properties": properties, "required": list(required), "additionalProperties": False,
        "description": "an object with the keys " + ", ".join(properties),
    }  # fmt: skip


def _list(items: Node) -> Node:
    words = f"a list of at most {MOST_ENTRIES} objects"
    return {"type": ["array", "null"], "items": items, "maxItems": MOST_ENTRIES, "default": [], "description": words}


_SEED = _whole(0, SEED_LIMIT - 1, default=0)
NAME: Node = {
    "type": "string", "pattern": r"^[^\W_][\w .-]{0,79}$",
    "description": "a name of letters, digits, spaces, dots, dashes and underscores, at most 80 of them",
}  # fmt: skip
_LAYERS = _or_null({"type": "string", "format": "layers", "description": "layers such as 4-7 or 0,3,8-11"})
_LABEL = _or_null(_whole(0, 65535))

_MIX = _object(
    {"seed": _SEED, "point": _or_null(NAME), "label": _LABEL, "layers": _LAYERS, "amount": _number(0, 1, 1.0)}
)
_STEER = _object({"direction": NAME, "amount": _number(-100, 100, 1.0), "layers": _LAYERS}, ("direction",))
_SIDE = _whole(1, 1024)
_GROWN = _object(
    {
        "size": {
            "type": "array", "items": _SIDE, "minItems": 2, "maxItems": 2, "description": "[height, width] in pixels",
        },
        "alpha": _number(0, 1, 1.0),
    },
    ("size",),
)  # fmt: skip

_PICTURE: dict[str, Node] = {
    "checkpoint": _or_null(
        {
            "type": "string", "pattern": r"^[^\x00-\x1f\x7f]{1,1024}$",
            "description": "the name of a network, RUN or RUN/000012",
        }
    ),
    "seed": _SEED,
    "point": _or_null(NAME),
    "label": _LABEL,
    "psi": _number(-5, 5, 0.7),
    "cutoff": _or_null(_whole(0, MOST_ENTRIES)),
    "noise": {
        "anyOf": [{"enum": ["const", "none"]}, _whole(0, SEED_LIMIT - 1)],
        "default": "const",
        "description": f"const, none or a whole number from 0 to {SEED_LIMIT - 1}",
    },
    "mix": _list(_MIX),
    "steer": _list(_STEER),
}  # fmt: skip
_GROWN_OR_NULL = _or_null(_GROWN)
_ENTRY = {**_PICTURE, "grown": _GROWN_OR_NULL}

_SPACE: Node = {"type": "string", "enum": ["w", "z"], "default": "w", "description": "w or z"}
_TOWARD = _object({**_ENTRY, "t": _number(0, 1, 0.0), "space": _SPACE})
_BLEND = _object({**_ENTRY, "weight": _number(-1000, 1000, 1.0)})
_SHA: Node = {"type": "string", "pattern": "^[0-9a-f]{12}$", "description": "12 hex digits"}

RECIPE: dict[str, Node] = {
    **_PICTURE,
    "toward": _or_null(_TOWARD),
    "blend": _list(_BLEND),
    "grown": _GROWN_OR_NULL,
    "sha": _or_null(_SHA),
}
SCHEMA: Node = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Styloscope recipe",
    **_object(RECIPE),
}
SHARED = ("label", "psi", "cutoff", "noise", "mix", "steer")  # what a picture has besides seed, network and growth


def loads(text: str | bytes) -> Any:
    """Parse JSON strictly: no NaN, no repeated keys, at most MOST_TEXT characters. Raises SettingError."""
    if len(text) > MOST_TEXT:
        raise SettingError("recipe", f"{len(text)} characters", f"at most {MOST_TEXT}")
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=unrepeated)
    except (ValueError, RecursionError) as wrong:
        reason = "it is nested too deeply" if isinstance(wrong, RecursionError) else str(wrong)
        if "set_int_max_str_digits" in reason:  # which is said to programmers
            reason = "a number in it has too many digits"
        raise SettingError("recipe", _start(text), f"it has to be JSON ({reason})") from wrong


def checked(value: Any) -> dict[str, Any]:
    """Check a recipe's JSON value; return what it gives, keys in the contract's order, entries with their defaults.

    Numbers become floats where a float is meant, layers take their shortest spelling. Raises SettingError.
    """
    if not isinstance(value, dict):
        _refuse("recipe", value, SCHEMA)
    values: dict[str, Any] = _checked(SCHEMA, value, place="")
    blend = values.get("blend")
    if blend:
        total = math.fsum(entry["weight"] for entry in blend)
        if abs(total - 1) > _SUM_TOLERANCE * max(1.0, math.fsum(abs(entry["weight"]) for entry in blend)):
            raise SettingError("blend.weight", f"{total:.6g} in sum", "the weights have to sum to 1")
    return values


def _checked(node: Node, value: Any, *, place: str) -> Any:
    if value is None:
        if "null" not in node.get("type", ()):
            _refuse(place, value, node)
        return node.get("default")
    if "anyOf" in node:
        fitting = [option for option in node["anyOf"] if _fits(option, value)]
        return value if fitting else _refuse(place, value, node)
    if not _fits(node, value):
        _refuse(place, value, node)
    if isinstance(value, dict):
        return _checked_object(node, value, place=place)
    if isinstance(value, list):
        return [_checked(node["items"], one, place=f"{place}[{index}]") for index, one in enumerate(value)]
    if node.get("format") == "layers":
        return _shortest(parse_layers(value, field=place))
    return float(value) + 0.0 if node["type"] == "number" else value


def _checked_object(node: Node, value: dict[str, Any], *, place: str) -> dict[str, Any]:
    known = node["properties"]
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(str(key)[:80], known, n=1)
            guess = f"did you mean {near[0]}?" if near else "the known ones are " + ", ".join(known)
            raise SettingError(f"a key of {place or 'the recipe'}", key, guess)
    for key in node["required"]:
        if key not in value:
            raise SettingError(_join(place, key), "nothing", known[key]["description"])
    # At the top and among the fields of another picture, what is left out has a meaning of its own.
    inherits = "psi" in known
    own = ("t", "space", "weight")
    return {
        key: _checked(child, value[key], place=_join(place, key)) if key in value else child["default"]
        for key, child in known.items()
        if key in value or not inherits or key in own
    }


def _fits(node: Node, value: Any) -> bool:
    if "enum" in node and value not in node["enum"]:
        return False
    kinds = node.get("type", [])
    kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
    if kind == "object":
        return isinstance(value, dict)
    if kind == "array":
        return isinstance(value, list) and node.get("minItems", 0) <= len(value) <= node["maxItems"]
    if kind == "string":
        return isinstance(value, str) and re.fullmatch(node.get("pattern", ".*"), value, re.DOTALL) is not None
    if kind in ("integer", "number"):
        right = isinstance(value, int if kind == "integer" else int | float) and not isinstance(value, bool)
        return right and node["minimum"] <= value <= node["maximum"]
    return isinstance(value, str)


def _refuse(place: str, value: Any, node: Node) -> NoReturn:
    shown: object = value
    if isinstance(value, dict | list):
        shown = f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    elif isinstance(value, int) and value.bit_length() > 1024:
        shown = "a very large number"
    elif value is None or isinstance(value, bool):
        shown = json.dumps(value)
    raise SettingError(place, shown, node["description"])


def _shortest(layers: tuple[int, ...]) -> str:
    spans: list[list[int]] = []
    for layer in layers:
        if spans and layer == spans[-1][1] + 1:
            spans[-1][1] = layer
        else:
            spans.append([layer, layer])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def inner(value: Any, field: str) -> dict[str, Any]:
    """A recipe inside other JSON, which is an object: one as text in there is not looked into. Raises SettingError."""
    if not isinstance(value, dict):
        raise SettingError(field, value, 'a JSON object, such as {"seed": 7}')
    return value


def _start(text: str | bytes) -> str:
    return text[:80].decode("utf-8", "replace") if isinstance(text, bytes) else text[:80]


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")
