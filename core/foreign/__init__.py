"""Networks of other programs, read as data: no import, no call, no code out of the file, at any depth."""

from core.foreign.facts import facts
from core.foreign.opening import about_of, open_foreign, recognise

__all__ = ["about_of", "facts", "open_foreign", "recognise"]
