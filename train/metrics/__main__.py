"""python -m train.metrics --checkpoint C --data PATH [--json]

python -m train.metrics --checkpoint checkpoints/brain.safetensors --data slices.zip
python -m train.metrics --checkpoint runs/brain --data slices.zip --metrics swd,recall_random --count 2000
"""

from __future__ import annotations

import sys

from core import command


def main() -> int:
    """Read the command line, measure, print and append; returns the exit status."""
    # Imported here, so that --help and mistakes answer before PyTorch is there.
    from train.metrics.cli import work

    return command.run(work)


if __name__ == "__main__":
    sys.exit(main())
