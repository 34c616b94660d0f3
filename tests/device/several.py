"""python tests/device/several.py < lines: commands one after the other in one process, which imports torch once.

A line is JSON, [module, argument, ...]; each answers with a line [status, what it said, what it waited for].
"""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys


def waited() -> dict[str, int]:
    """What this process has waited for since it was last asked; nothing without the device."""
    counted = getattr(sys.modules.get("stand_in"), "waits", {})
    found = dict(counted)
    counted.clear()
    return found


def run(module: str, *arguments: str) -> tuple[int, str]:
    """`python -m module arguments`."""
    said = io.StringIO()
    sys.argv = [module, *arguments]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
    return status, said.getvalue()


if __name__ == "__main__":
    sys.path.insert(0, ".")
    for line in sys.stdin:
        print(json.dumps([*run(*json.loads(line)), waited()]), flush=True)
