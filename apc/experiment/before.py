"""What is seen to before a search trains anything, whether it was started by a command or from Python."""

from apc.config import Config
from apc.experiment.settings import dataset_name
from apc.runs.scores import CHOOSERS, LABEL_SCORES, LOWER_IS_BETTER
from apc.search.search_settings import SearchSettings


def prepared(base: Config, chosen_by: str | None, instead: str, search: SearchSettings | None = None) -> dict[str, int]:
    """Images of each split, with all data opened and the model built once: what is bad is refused here and not by a
    worker. `chosen_by`, `instead` and `search` are as in require_masks.

    This also pre-trains the tiny ViT, once for all runs, before the clock of the first one starts.
    """
    from apc.training.run import preflight

    found = preflight(base)
    if not found.scored:
        require_masks(base, chosen_by, instead, search)
    return found.images


def require_masks(base: Config, chosen_by: str | None, instead: str, search: SearchSettings | None = None) -> None:
    """Refuse, where no validation image is scored by a mask, to choose settings by masks: all would be trained in vain.
    `chosen_by` is the score that they are chosen by, None where none is chosen; `instead` what may be done. So is a
    `search` that would end at a score by masks: it never would."""
    bare = f"{dataset_name(base)}: no validation image has a mask, so"
    if chosen_by is not None and chosen_by not in LABEL_SCORES:
        raise ValueError(f"{bare} {chosen_by} cannot be chosen by; {instead}")
    if search and (name := search.score_to_reach) and name not in (*LABEL_SCORES, *LOWER_IS_BETTER):
        told = f"no run will have the {name} of --stop-when {search.stop_when}"
        raise ValueError(f"{bare} {told}; name a score by image labels, such as {CHOOSERS['labels']}")
