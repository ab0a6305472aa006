"""Pictures of finished runs (Figures 6 and 7): which runs, which images, and the files that are left.

Nothing is trained and nothing is chosen by eye: a run that is missing is answered with the command that makes it, and
images are taken by RULE. The JSON file beside the results says what a picture shows, and the report reads it.
"""

import json
import shlex
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.config import PRESETS, Config, to_dict
from apc.escaping import complain, say
from apc.experiment.config_flags import preset_of
from apc.experiment.flags import Amount, Flags, Place, add_place, command_line, seeds_of
from apc.experiment.settings import base_of, dataset_name, folders
from apc.files import end_if_unread, require_writable, write_atomically
from apc.flags import dashed, taken
from apc.reporting.names import file_name
from apc.reporting.table_entry import PictureEntry
from apc.runs.folder import RunFolder, load_run
from apc.search.space_checks import check_method

if TYPE_CHECKING:
    from apc.data import Split

MOST = 8
"""Images of a picture at most; VOC's first eight classes."""
RULE = "the first validation image of each class, in the order of the list, that no class before it has"


@dataclass(frozen=True, kw_only=True)
class Picture(PictureEntry):
    """One picture of the paper: which runs it shows, what of them, and, as a PictureEntry, what the page says of it."""

    settings: Mapping[str, dict[str, Any]]
    """What stands in the picture, by its label: Config fields laid over the preset."""
    script: str
    """Experiment that trains these settings."""
    show: "Callable[[dict[str, Path], Config, dict[str, int], Path], dict[str, Any]]"
    """Draws, of the runs' folders, the base setting and the number of the image of each class, the files `path`.png
    and .pdf; what it tells goes into the JSON file."""


def main(picture: Picture, argv: Sequence[str] | None = None) -> int:
    """Draw a picture from the command line; returns the exit code: 0, 2 (bad input or missing runs), 130."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        preset, rest = preset_of(words)
        line = command_line(picture.name, picture.title, dict.fromkeys(PRESETS, 1), {}, preset)
        add_place(line, trains=False)
        return _draw(picture, Flags(preset, line.read(rest)), words)
    except ValueError as error:
        complain(f"{picture.name}: {error}")
        return 2
    except OSError as error:
        end_if_unread(error)
        complain(f"{picture.name}: {error.filename or 'a file'}: {error.strerror or error}")
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130


def _draw(picture: Picture, flags: Flags, words: list[str]) -> int:
    knobs = {name for values in picture.settings.values() for name in values}
    amount = taken(Amount, flags.values)
    base = replace(base_of(flags, knobs, amount.smoke), seed=seeds_of(amount.seeds, 1)[0])
    runs, reports = folders(taken(Place, flags.values), amount.smoke)
    run_folders = find(picture.settings, base, runs)
    missing = {label: folder for label, folder in run_folders.items() if not RunFolder(folder).row.is_file()}
    seeds = ["--seeds", str(base.seed + 1)]
    training = shlex.join(["python", f"experiments/{picture.script}.py", *_of_training(words), *seeds])
    if amount.dry_run:
        for label, folder in run_folders.items():
            say(f"{'to do' if label in missing else 'done '}  {folder.name}  {label}")
        say("every run is there" if not missing else f"what is to do is done by: {training}")
        return 0
    if missing:
        listed = ", ".join(f"{label} ({folder.name})" for label, folder in missing.items())
        raise ValueError(f"below {runs} there is no run of {listed}; make it with: {training}")
    require_writable(reports, make=False)
    command = shlex.join(["python", f"experiments/{picture.name}.py", *_without_folders(words)])
    say(_drawn(picture, run_folders, base, reports, command))
    return 0


def _drawn(picture: Picture, folders: dict[str, Path], base: Config, reports: Path, command: str) -> str:
    """Draw the picture of the runs in `folders`, write its JSON file and the page; tells which files these are."""
    from apc import data
    from apc.reporting.page import build
    from apc.runs.stamp import stamp

    split = data.load(base, "val")
    images = first_of_each_class(split)
    dataset = dataset_name(base)
    path = reports / "figures" / file_name(picture.name, dataset)
    record = {
        "runs": {label: folder.name for label, folder in folders.items()},
        "seed": base.seed,
        "rule": RULE,
        "images": {label: split.names[i] for label, i in images.items()},
        **picture.show(folders, base, images, path),
        "command": command,
        "stamp": stamp(data=data.fingerprint(base)),
    }
    write_atomically(reports / "results" / picture.name / f"{dataset}.json", json.dumps(record, indent=1) + "\n")
    return f"{path}.png and .pdf: {len(images)} images of {dataset}; {build(reports)}: the report"


def find(settings: Mapping[str, dict[str, Any]], base: Config, runs: Path) -> dict[str, Path]:
    """Folder of the run of each setting, whether it is there or not; ValueError where its row is of other settings."""
    from apc.training.run import identity

    folders = {}
    for label, values in settings.items():
        check_method(values, base, label)
        cfg = replace(base, **values)
        folders[label] = runs / identity(cfg)
        if load_run(runs, folders[label].name) and not load_run(runs, folders[label].name, to_dict(cfg)):
            raise ValueError(f"{RunFolder(folders[label]).row}: of an older version, whose defaults were others")
    return folders


def first_of_each_class(split: "Split", most: int = MOST) -> dict[str, int]:
    """Image of each class by RULE, by the class's name; only images that have a mask, and at most `most` classes.

    ValueError where there is none.
    """
    chosen: dict[str, int] = {}
    for c, name in enumerate(split.classes[1:]):
        having = (int(i) for i in split.labels[:, c].nonzero()[:, 0])
        first = next((i for i in having if i not in chosen.values() and split.mask(i) is not None), None)
        if first is not None and len(chosen) < most:
            chosen[name] = first
    if not chosen:
        raise ValueError("no validation image has a mask and a class, so there is nothing to show")
    return chosen


def _of_training(words: Sequence[str]) -> list[str]:
    """The flags without those that say how to draw."""
    return without(words, {"--seeds", "--reports", "--dry-run"})


def _without_folders(words: Sequence[str]) -> list[str]:
    """The flags with folders of this machine by their last name, and without where runs and reports lie."""
    rest: list[str] = []
    for word in without(words, {"--runs", "--reports"}):
        rest += dashed(word).split("=", 1) if word.startswith("--") else [word]
    return [
        Path(word).name if before in ("--root", "--weights", "--deeplab-weights", "--config") else word
        for before, word in zip(["", *rest], rest, strict=False)
    ]


def without(words: Sequence[str], flags: Collection[str]) -> list[str]:
    """Words of a command line without these flags and their values, as `--flag value` or `--flag=value`."""
    rest, dropped = [], False
    for word in words:
        if word.startswith("--"):
            dropped = dashed(word).partition("=")[0] in flags
        if not dropped:
            rest.append(word)
    return rest
