"""The Ray Train worker: one training function, two thin launchers.

`in_process` trains in the Tune trial's own process; its actor is reused, so a further trial costs hundredths of a
second. `distributed` puts the same function under a TorchTrainer with several processes; that costs tens of seconds a
trial and pays where a trial has more than one GPU or takes hours. Neither needs a Ray checkpoint: the run's own folder
holds the training state and the row, so a trial that is started again goes on from its last epoch by itself.
"""

import os
import traceback
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

from apc.config import Config, from_dict
from apc.files import STORAGE
from apc.runs.at_work import announce
from apc.runs.copies import copied, folder_of
from apc.runs.folder import RunFolder, Setting

Report = Callable[[dict[str, float]], None]


class Task(TypedDict):
    """What the driver sends to a worker: plain values only."""

    label: str
    """Label of the point, for the view."""
    configs: list[dict[str, Any]]
    """Configs to train one after another: the seeds of a point, or a single run."""
    ids: list[str]
    """Their run ids."""
    runs: str
    """Absolute folder of the run folders, the same on every node, or the URL of their store."""
    threads: int
    """Torch threads of one process."""
    gpus: float
    """GPUs of one process; a fraction shares one."""
    num_workers: int
    """Processes a trial."""
    by: str
    """Score that its epochs are compared by."""
    cache_gib: float
    """GiB of the node's disk for outputs of closed blocks that all its trials share; 0 is each trial's own memory."""
    until: int
    """Epoch after which the first config pauses, for a later trial to go on from; 0 trains all of them to the end."""
    scored: list[int]
    """Epochs at which the first config is scored on the way, whatever its eval_every is."""
    store: str
    """Absolute folder of Ray's own files."""


def in_process(task: Task) -> None:
    """Tune function: train here, in one process."""
    from ray import tune

    _train(task, device="cuda" if task["gpus"] else "cpu", report=tune.report)


def distributed(task: Task) -> None:
    """Tune function: train in `num_workers` processes, gloo between CPUs and NCCL between GPUs."""
    import ray.train
    from ray import tune
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    train: Any = ray.train  # its annotations are those of Train V1
    trainer = TorchTrainer(
        _train_worker,  # type: ignore[arg-type]
        train_loop_config=dict(task),
        scaling_config=train.ScalingConfig(
            num_workers=task["num_workers"],
            use_gpu=task["gpus"] > 0,
            resources_per_worker={"CPU": task["threads"]} | ({"GPU": task["gpus"]} if task["gpus"] else {}),
        ),
        run_config=train.RunConfig(
            name="t-" + tune.get_context().get_trial_id(),
            storage_path=task["store"],
            callbacks=[TuneReportCallback()],  # type: ignore[no-untyped-call]
            # Tune retries the trial; a second retry inside it, and Ray's default of endless controller restarts, would
            # only hide a run that cannot work.
            failure_config=train.FailureConfig(max_failures=0, controller_failure_limit=1),
            logging_config=train.LoggingConfig(log_level="ERROR"),
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        # Where a worker raised, it has written why; where one was killed nobody knows. The rest is said here.
        folder = RunFolder(copied(task["runs"]) / task["ids"][0])
        if not folder.error.is_file() and not isinstance(error, train.WorkerGroupError):
            folder.write_note(folder.error, f"{type(error).__name__}: {error}")
        raise


def _train_worker(task: Task) -> None:
    """One of the processes of a trial."""
    import ray.train
    from ray.train.torch import get_device

    _train(task, device=str(get_device()), report=ray.train.report, rank=ray.train.get_context().get_world_rank())


def _train(task: Task, *, device: str, report: Report, rank: int = 0) -> None:
    """Train the task's configs one after another; where one fails, say why in its folder and raise."""
    runs = folder_of(task["runs"])
    for number, (values, run) in enumerate(zip(task["configs"], task["ids"], strict=True)):
        folder = RunFolder(runs / run)
        try:
            copied(task["runs"])
            if rank == 0:
                announce(folder)
                folder.forget_the_end()
                folder.write_setting(Setting(task["label"], values["seed"]))
            cfg: Config = from_dict(values, source=f"run {run}")
            where: dict[str, Any] = {"runs": runs, "device": device, "threads": task["threads"]}
            rung: dict[str, Any] = {} if number else {"until": task["until"], "scored": task["scored"]}
            train_one(cfg, **where, report=report, name=run, by=task["by"], cache_gib=task["cache_gib"], **rung)
        except Exception as error:
            # The driver and `apc status` read the reason here: Tune's own record of it is a pickle. Any rank may be
            # the one that failed, so each of them writes.
            with suppress(OSError):  # on a full disk, for one; a store is told all the same
                folder.write_note(folder.error, f"{reason_of(error)}\n\n{traceback.format_exc()}")
            raise


def train_one(
    cfg: Config,
    *,
    runs: Path,
    device: str,
    report: Report,
    threads: int,
    name: str = "",
    by: str = "miou",
    until: int = 0,
    scored: Collection[int] = (),
    cache_gib: float = 0.0,
) -> None:
    """Train one run, of identity `name`, with a fixed number of threads, and as many processes for the CRF; its epochs
    are compared by the score `by`. `until`, `scored` and `cache_gib` are the Task's."""
    import torch

    from apc.training.run import run, train_to

    torch.set_num_threads(threads)
    each: dict[str, Any] = {"runs": runs, "device": device, "report": report, "name": name, "by": by}
    each |= {"scored": scored, "cache_gib": cache_gib}
    if until:
        train_to(cfg, until, **each)
    else:
        run(cfg, crf_workers=threads if threads > 1 else 0, **each)
    if device.startswith("cuda"):
        torch.cuda.empty_cache()  # the actor lives on: what this trial held must not be missing to the next


def reason_of(error: BaseException) -> str:
    """An error in a line; a full disk by that name, which torch.save hides behind words of its own."""
    link: BaseException | None = error
    while link:
        if isinstance(link, OSError) and link.strerror in STORAGE:
            return f"OSError: {link.strerror}"
        link = link.__cause__ or link.__context__
    return f"{type(error).__name__}: {error}"


def pin_environment() -> None:
    """Settings Ray reads when it is imported or started; a value set by the user stays."""
    for name, value in {
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run` would build an environment for every worker
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0 nothing but our own view is printed
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_memory_monitor_refresh_ms": "0",  # the system does it; where it is on: warm_actors.py
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",  # seconds until a finished trial of several processes is noticed
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "1800",  # for which processes wait for a node, perhaps a new one
        "RAY_gcs_rpc_server_reconnect_timeout_s": "90",  # seconds without a GCS until Ray ends the driver
        "RAY_gcs_server_request_timeout_seconds": "20",  # for which a dead GCS holds the driver up
        "RAY_enable_metrics_collection": "0",  # nobody is here to collect them
        # Tune would ask for the cluster's resources every 10 s, to show them, and a dead GCS would hold it for ever.
        "TUNE_STATE_REFRESH_PERIOD": "1e9",
        "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1e9",
        "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # no snapshot of Tune's is ever read back, and each holds all trials
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # nor are its csv and json files; see callbacks.curves
        "TUNE_FUNCTION_THREAD_TIMEOUT_S": "120",  # seconds for a trial's end in an actor that takes the next one: after
        # Tune's 2 a busy machine fails that one, which has not begun, whatever retries it has
        "TUNE_MAX_PENDING_TRIALS_PG": "1000000",  # Tune would start one actor at a time; apc.search.slots limits them
        "TUNE_DISABLE_SIGINT_HANDLER": "1",  # apc.search.interrupts has one
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # an epoch without a score is no error
    }.items():
        os.environ.setdefault(name, value)
