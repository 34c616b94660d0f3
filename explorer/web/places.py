"""What people elsewhere read where a text names a path of this machine: its last part.

Our own sentences name folders that are known, so just those are looked for: an address such as /map stays. What comes
from other programs, or was written by a person at this machine, is searched for whatever looks like a path.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["bare", "bare_command", "bare_fact", "bare_training", "called", "last_part", "without"]

_SETTINGS = frozenset({"data", "init", "inception"})  # of a training's config.json
_CUT = 57  # characters that an error shows of a longer value, core/errors.py
_PATH = re.compile(
    r"(?P<web>\bhttps?://\S*)"
    r"|(?P<quote>['\"])(?P<quoted>(?:~|[A-Za-z]:)?[\\/](?:(?!(?P=quote)).)*)(?P=quote)"
    # An option of one letter may stand right before its path.
    r"|(?:(?<![\w./\\~])|(?<=\s-[A-Za-z]))(?:~[\w.-]*|[A-Za-z]:)?[\\/]+(?:[^\s\\/'\"]+[\\/]+)*[^\s\\/'\"]*"
)


def called(paths: Iterable[Path]) -> dict[str, str]:
    """How paths are spelled in a text -> what they are called there; a path of one word says nothing and stays."""
    found: dict[str, str] = {}
    for path in paths:
        real = os.path.realpath(path)  # not path.resolve(), which fails where links go round in a circle
        name = os.path.basename(real) if path.name in ("", "..") else path.name
        for spelled in {str(path), str(path.absolute()), real}:
            if name and len(Path(spelled).parts) > 1:
                # An error is one line of words, whatever blanks the path has in it.
                found |= {spelled: name, " ".join(spelled.split()): name}
    return found


def without(text: str, places: Mapping[str, str]) -> str:
    """The text with `places`, as `called` gives them, under their names."""
    for place, name in sorted(places.items(), key=lambda one: -len(one[0])):  # a folder after what lies in it
        text = text.replace(place, name)
        if len(place) > _CUT:
            text = text.replace(f"{place[:_CUT]}...", f"{name}...")
    return text


def last_part(path: str) -> str:
    """The last part of a path of any system; a text without separators as it is."""
    return re.split(r"[\\/]+", path.rstrip("\\/"))[-1] or path


def bare(text: str) -> str:
    """A text with every path that begins at a root, a drive or a home shortened to its last part."""

    def shortened(found: re.Match[str]) -> str:
        if found["web"]:
            return found[0]
        if found["quote"]:
            return f"{found['quote']}{last_part(found['quoted'])}{found['quote']}"
        return last_part(found[0])

    return _PATH.sub(shortened, text)


def bare_command(text: str) -> str:
    """Lines of a shell with the last part of every path in them; a line that no shell takes is left out."""
    lines = []
    for line in text.splitlines():
        try:
            # Our lines quote with quotes alone: a backslash is one of a path of Windows.
            words = shlex.split(line.replace("\\", "/"))
        except ValueError:
            continue
        lines.append(shlex.join(_bare_word(word) for word in words))
    return "\n".join(lines)


def _bare_word(word: str) -> str:
    flag, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    shown = bare(value) if "://" in value else last_part(value)
    return f"{flag}={shown}" if equals else (bare(word) if "://" in word else last_part(word))


def bare_training(training: Any) -> Any:
    """What a network's header says of its training: the command and the name of the data with the last parts alone."""
    if not isinstance(training, dict):
        return training
    told, command = dict(training), training.get("command")
    if isinstance(command, list):
        told["command"] = [_bare_word(str(word).replace("\\", "/")) for word in command]
    elif isinstance(command, str):
        told["command"] = bare_command(command)
    if isinstance(training.get("data"), str):
        told["data"] = last_part(training["data"])
    return told


def bare_fact(name: str, text: str) -> str:
    """A text of a run, by its name in what explorer/following.py tells, without where pictures and networks lie."""
    if name == "command":
        return bare_command(text)
    return last_part(text) if name in _SETTINGS else bare(text)
