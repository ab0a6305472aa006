"""What is seen to before a search trains anything, whether it was started by a command or from Python."""

from apc.config import Config
from apc.experiment.settings import dataset_name
from apc.runs.scores import LABEL_SCORES


def prepared(base: Config, chosen_by: str | None, instead: str) -> dict[str, int]:
    """Images of each split, with all data opened and the model built once: what is bad is refused here and not by a
    worker. `chosen_by` and `instead` are as in require_masks.

    This also pre-trains the tiny ViT, once for all runs, before the clock of the first one starts.
    """
    from apc.training.run import preflight

    found = preflight(base)
    if not found.scored:
        require_masks(base, chosen_by, instead)
    return found.images


def require_masks(base: Config, chosen_by: str | None, instead: str) -> None:
    """Refuse, where no validation image is scored by a mask, to choose settings by masks: all would be trained in vain.
    `chosen_by` is the score that they are chosen by, None where none is chosen; `instead` what may be done."""
    if chosen_by is not None and chosen_by not in LABEL_SCORES:
        why = f"no validation image has a mask, so {chosen_by} cannot be chosen by"
        raise ValueError(f"{dataset_name(base)}: {why}; {instead}")
