"""What the flags of who trains come to: what Ray is asked for, how many runs go on side by side, and what one costs."""

from typing import TYPE_CHECKING

from apc.experiment.flags import Workers
from apc.search.costs import Costs, costs

if TYPE_CHECKING:
    from apc.search.ray_session import Resources


def resources_of(workers: Workers) -> "Resources":
    """What Ray is asked for."""
    from apc.search.ray_session import Resources

    return Resources(
        address=workers.address,
        num_workers=workers.num_workers,
        cpus_per_trial=workers.cpus,
        gpus_per_trial=workers.gpus,
        max_concurrent=workers.max_concurrent,
        retries=workers.retries,
        cache_gib=workers.cache_gib,
        trackers=workers.log,
        verbose=workers.verbose,
    )


def places(workers: Workers) -> int | None:
    """How many runs go on side by side on this machine's cores; None on its GPUs and on a cluster."""
    from torch.cuda import is_available

    from apc.parallel import cores

    if workers.address not in (None, "local") or (is_available() if workers.gpus is None else workers.gpus):
        return None
    fitting = max(cores() // (workers.cpus * workers.num_workers), 1)
    return min(fitting, workers.max_concurrent or fitting)


def costs_of(workers: Workers) -> Costs:
    """What a run costs that has these workers; one GPU each where nothing is said and there are any here."""
    gpus = workers.gpus
    if gpus is None:
        from torch.cuda import is_available

        gpus = float(is_available())
    return costs(workers.cpus * workers.num_workers, gpus * workers.num_workers, workers.price)
