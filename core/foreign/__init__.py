"""Networks of other programs, read as data: no import, no call, no code out of the file, at any depth."""

from core.foreign.opening import open_foreign, recognise

__all__ = ["open_foreign", "recognise"]
