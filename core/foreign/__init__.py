"""Networks of other programs, read as data: no import, no call, no code out of the file, at any depth; and written."""

from core.foreign.facts import facts
from core.foreign.opening import about_of, open_foreign, recognise
from core.foreign.writing import PROGRAMS, Written, write_foreign

__all__ = ["PROGRAMS", "Written", "about_of", "facts", "open_foreign", "recognise", "write_foreign"]
