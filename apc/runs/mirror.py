"""What a store has, brought to the folder that is its copy: rows and signs of life at a look, models when asked for."""

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from apc.runs.at_work import at_work_here
from apc.runs.copies import address, copied, folder_of, store_of
from apc.runs.folder import RunFolder
from apc.runs.store import IMPATIENCE, PATIENCE, TOGETHER, Found, StoreFault

SETTLED = 60.0  # seconds after which a file that the store lacks was not just written here


def opened(place: str | os.PathLike[str]) -> Path:
    """The folder of runs of a command line; of a store its copy here, with all rows and signs of life that it has.

    ValueError where there is no such store, or it cannot be read.
    """
    folder = copied(place)
    if store_of(folder):
        try:
            look(folder)
        except StoreFault as fault:
            raise ValueError(f"{fault.filename}: cannot be read ({fault.strerror})") from None
    return folder


def model_folder(place: str | os.PathLike[str]) -> Path:
    """The folder of a run, of its best/ or of an export; one in a store is brought: its model, row and tallies."""
    if not (url := address(place)):
        return folder_of(place)
    place = Path(place)
    home = place.parent if place.name == RunFolder(place).best.path.name else place
    if not address(home.parent):
        raise ValueError(f"{url}: names a bucket and no run")
    run = copied(home.parent) / home.name
    try:
        store, began = store_of(run.parent, IMPATIENCE), time.time()
        assert store
        files = {name.partition("/")[2]: entry for name, entry in store.names(run.name).items()}
        coming = _coming(RunFolder(run), files, began)
        for name in files:
            missing = (
                not (run / name).is_file() and name != RunFolder(run).state.name and not name.startswith("rounds/")
            )
            if name in coming or missing:
                store.fetch(f"{run.name}/{name}", run / name)
    except StoreFault as fault:
        raise ValueError(f"{fault.filename}: cannot be read ({fault.strerror})") from None
    return run / place.relative_to(home)


def look(runs: Path, only: Sequence[str] | None = None) -> None:
    """Bring the rows that are in the store of a folder of runs and not here; of unfinished runs all that says how they
    are. `only` names runs; those of them that are finished here are not asked for. Of a folder of its own: nothing."""
    if not (store := store_of(runs, IMPATIENCE if only is None else PATIENCE)):
        return
    if only is not None and not (only := [run for run in only if not RunFolder(runs / run).row.is_file()]):
        return
    began, found = time.time(), dict[str, dict[str, Found]]()
    for below in [""] if only is None else only:
        for name, entry in store.names(below).items():
            run, _, file = name.partition("/")
            if file:  # what lies beside the runs belongs to searches
                found.setdefault(run, {})[file] = entry
    here = [path.name for path in runs.iterdir() if path.is_dir()] if only is None else only
    coming = {run: _coming(RunFolder(runs / run), found.get(run, {}), began) for run in {*here, *found}}
    wanted = [f"{run}/{name}" for run, names in coming.items() for name in names]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(lambda name: store.fetch(name, runs / name), wanted))


def _signs(folder: RunFolder) -> list[Path]:
    """Small files that tell how a run is."""
    return [folder.curve, folder.task, folder.error, folder.stopped, folder.lease]


def _coming(folder: RunFolder, files: dict[str, Found], began: float) -> list[str]:
    """What of a run's small files is to be brought; what its store does not have any more, or what is of another epoch
    than the curve that comes, or of another training than the row, is removed: models come when they are asked for."""
    _drop(folder, files, began)
    coming = _newer(folder, files)
    old = [folder.state, *folder.best.needed] if {folder.curve.name, folder.row.name} & {*coming} else []
    if folder.row.name in coming:
        old += [*folder.model.needed, folder.tallies, folder.confusion, folder.ballots]
    for path in old if not at_work_here(folder) else ():
        path.unlink(missing_ok=True)
    return coming


def _newer(folder: RunFolder, files: dict[str, Found]) -> list[str]:
    """What of a run's small files is to be brought. Of one that a process of this machine is at work on: nothing."""
    if row := files.get(folder.row.name):
        return [] if folder.row.is_file() and folder.row.stat().st_size == row.size else [folder.row.name]
    if not (signs := [path for path in _signs(folder) if path.name in files]) or at_work_here(folder):
        return []
    return [path.name for path in signs if not _is_same(path, files[path.name])]


def _is_same(path: Path, stored: Found) -> bool:
    """Whether a file is what the store has or, of a curve, no less: an epoch may not be stored yet."""
    if not path.is_file():
        return False
    here = path.stat()
    if path.suffix == ".jsonl":
        return here.st_size >= stored.size
    return here.st_size == stored.size and int(here.st_mtime) >= int(stored.modified.timestamp())


def _drop(folder: RunFolder, files: dict[str, Found], began: float) -> None:
    """Remove what the store does not have any more: a copy has nothing of its own but the state of training."""
    for path in (folder.row, folder.error, folder.stopped):
        with contextlib.suppress(FileNotFoundError):
            if path.name not in files and path.stat().st_mtime < began - SETTLED:
                path.unlink()


def fault_of(runs: Path) -> str:
    """Why nothing can be stored for a folder of runs; empty where it can, or it has no store."""
    if store := store_of(runs, IMPATIENCE):
        try:
            store.names("nothing")
        except StoreFault as fault:
            return fault.strerror or str(fault)
    return ""
