"""`apc search` with a training function that notes every epoch it begins and raises when it is told to.

    APC_CHAOS=folder python tests/chaos/driver.py joint --trials 3 ...

`epochs.log` in the folder gets a line `run epoch` a begun epoch; a file `raise` there makes the next step raise. The
function belongs to this script, so Ray sends it to the workers as it stands here.
"""

import sys

from apc.experiment.main import search_space
from apc.search import worker


def train(task: worker.Task) -> None:
    """apc.search.worker.in_process, watched."""
    import os
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    import apc.training.loop
    from apc.search.worker import in_process
    from apc.training.run import identity

    folder = Path(os.environ["APC_CHAOS"])
    batches, check = apc.training.loop.batches, apc.training.loop.require_finite

    def noted(split: Any, cfg: Any, epoch: int, *more: Any) -> Iterator[Any]:
        with open(folder / "epochs.log", "a") as log:
            log.write(f"{identity(cfg)} {epoch}\n")
        return batches(split, cfg, epoch, *more)

    def told(*step: Any) -> None:
        if (folder / "raise").exists():
            (folder / "raise").unlink()
            raise RuntimeError("told to raise")
        check(*step)

    apc.training.loop.batches, apc.training.loop.require_finite = noted, told  # type: ignore[assignment]
    try:
        in_process(task)
    finally:
        apc.training.loop.batches, apc.training.loop.require_finite = batches, check


if __name__ == "__main__":
    worker.in_process = train
    raise SystemExit(search_space(sys.argv[1:]))
