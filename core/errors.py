"""Everything that can be wrong, as one tree. Each error is one sentence: what, where, and how to mend it.

StyloscopeError
 |- SettingError      a flag, field or recipe key with a value that is not allowed
 |- CheckpointError   a network file that is missing, cut short, foreign or too new
 |- PictureError      a file that is no picture, or too large a one
 |- DataError         a training set that cannot be used
 |- OutputError       a place that cannot be written
 |- TrainingError     a training that cannot go on
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "DataError",
    "OutputError",
    "PictureError",
    "SettingError",
    "StyloscopeError",
    "TrainingError",
]


class StyloscopeError(Exception):
    """Something a person can mend; its text is one sentence that says how."""


class SettingError(StyloscopeError):
    """A setting that is not allowed: the field, the value given, and what is allowed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        text = str(value)
        shown = text if len(text) <= 60 else text[:57] + "..."
        super().__init__(f"{field} cannot be {shown!r}: {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


class CheckpointError(StyloscopeError):
    """A network file that is missing, truncated, of another program or of a newer format."""


class PictureError(StyloscopeError):
    """A file that is not a picture, or a picture beyond the limits."""


class DataError(StyloscopeError):
    """A training set that cannot be used as it is."""


class OutputError(StyloscopeError):
    """A file or folder that cannot be written, or a port that cannot be opened."""


class TrainingError(StyloscopeError):
    """A training that cannot go on: the step, the last good checkpoint, what to try."""
