"""python -m train --data PATH --out RUN [--preset NAME] [any setting]

python -m train --data phantoms --out runs/try --preset smoke
python -m train --data slices.zip --out runs/brain --preset brain
python -m train --out runs/brain --resume
"""

from __future__ import annotations

import sys

from train.stop import Stop


def main() -> int:
    """Read the command line, then train or tell what would be done; returns the exit status."""
    stop = Stop()
    with stop.listening():
        # Imported under the listening, since PyTorch takes seconds, in which a person may have changed their mind.
        from core import command, devices, errors
        from train import cli, processes

        def work() -> int:
            try:
                with processes.alike():
                    asked = cli.ask()
                    if asked.dry_run:
                        from train.estimate import tell

                        return tell(asked)
                from train.session import train

                return train(asked, stop=stop)
            except processes.Elsewhere:
                return 2
            except (MemoryError, RuntimeError) as wrong:
                if not devices.out_of_memory(wrong):
                    raise
                raise errors.TrainingError(
                    "memory ran out; take a smaller --size, --channel-base or --samples, or free some memory"
                ) from wrong

        return command.run(work)


if __name__ == "__main__":
    sys.exit(main())
