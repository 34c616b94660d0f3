"""python -m train --data PATH --out RUN [--preset NAME] [any setting]

python -m train --data phantoms --out runs/try --preset smoke
python -m train --data slices.zip --out runs/brain --preset brain
python -m train --out runs/brain --resume
"""

from __future__ import annotations

import sys

from core import command
from train.cli import ask


def main() -> int:
    """Read the command line, then train or tell what would be done."""
    asked = ask()
    if asked.dry_run:
        from train.estimate import tell

        return tell(asked)
    from train.session import train

    return train(asked)


if __name__ == "__main__":
    sys.exit(command.run(main))
