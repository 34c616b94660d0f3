"""The model card beside a network: what is known of it that its file does not say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["card_of", "credit_of"]

_LARGEST = 1 << 18  # characters
_LONGEST = 2000  # of a credit
_CREDIT = re.compile(r"^[> *_]*Credit:[*_]*[ \t]+(\S.*(?:\n[> ]*[^\s>].*)*)", re.MULTILINE)


def card_of(path: Path) -> str | None:
    """The text of the card of the network file at `path`; None where there is none, or none that can be read."""
    card = path.with_suffix(".md")
    try:
        if not card.is_file():
            return None
        with open(card, encoding="utf-8", errors="replace") as file:
            return file.read(_LARGEST)
    except OSError:
        return None


def credit_of(path: Path, about: Mapping[str, Any]) -> str:
    """Whom a network's data are owed to: as its file says, else the paragraph of its card that begins with Credit."""
    if about.get("credit"):
        return str(about["credit"])
    found = _CREDIT.search(card_of(path) or "")
    return "" if found is None else " ".join(re.sub(r"\n[> ]*", " ", found[1]).split())[:_LONGEST]
