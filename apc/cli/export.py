"""`apc export`: a finished run as a folder to give away."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from apc.config import Config, without_paths
from apc.escaping import say
from apc.files import UNREADABLE
from apc.flags import POSITIONAL, parse
from apc.folders import is_empty, replaced
from apc.runs.folder import ModelFolder, RunFolder, load_run
from apc.runs.mirror import model_folder

FILES = {path.name for path in (*ModelFolder(Path()).needed, ModelFolder(Path()).card)}


@dataclass(frozen=True, kw_only=True)
class ExportFlags:
    """Export a finished run: model.safetensors, config.toml, classes.txt and README.md, a model card with its scores
    and their stamp. `apc predict` and `apc eval` take the folder; no path of this machine is in it."""

    checkpoint: Annotated[Path, POSITIONAL]
    """Folder of a finished run, also in a store, or its best/."""
    out: Path
    """Folder to write: new, empty, or an earlier export, which is replaced."""
    license: str = ""
    """Licence of the weights as hubs write it, such as apache-2.0; default: not stated."""


def command(words: list[str]) -> None:
    flags = parse(ExportFlags, words, "apc export")
    folder, out = model_folder(flags.checkpoint).resolve(), flags.out.resolve()
    if out.exists() and not is_empty(out) and not (out.is_dir() and {path.name for path in out.iterdir()} == FILES):
        raise ValueError(f"{flags.out}: holds files that `apc export` did not write; give another --out")
    from apc.files import require_writable
    from apc.methods.checkpoint import load_model, save_model
    from apc.reporting.model_card import at_best_epoch, model_card

    method, cfg, classes = load_model(folder)
    home = folder.parent if RunFolder(folder.parent).best.path == folder else folder
    if out.is_relative_to(home):
        raise ValueError(f"{flags.out}: lies in the run's own folder; give another --out")
    of_best = home != folder
    row, epoch = load_run(home.parent, home.name), 0
    if row is None:
        of_scores = RunFolder(home).row
        lacks = f"its {of_scores.name} is damaged" if of_scores.exists() else f"has no {of_scores.name}"
        without = f"{home}: {lacks}, so its scores are not known"
        raise ValueError(f"{without}; export the folder of a finished run")
    row = replace(row, config=without_paths(cfg))  # whose row may lack a field that is newer, or have it damaged
    if of_best:
        row, epoch = at_best_epoch(row)
    require_writable(out.parent)
    with replaced(out) as part:
        save_model(part, method, _public(cfg), classes)
        card = model_card(row, out.name, flags.license, epoch, _scored(home))
        ModelFolder(part).card.write_text(card, encoding="utf-8")
    trial = f"apc predict {shlex.quote(str(flags.out))} photos/ --out predictions"
    say(f"{flags.out}: {', '.join(sorted(FILES))}; try it with `{trial}`")


def _scored(home: Path) -> int:
    """Photographs of a run that had a mask to be scored with; 0 where its tallies are not there."""
    import numpy as np

    try:
        with np.load(RunFolder(home).tallies) as tallies:
            return max((int(tallies[name].any(axis=(1, 2)).sum()) for name in tallies.files), default=0)
    except UNREADABLE:
        return 0


def _public(cfg: Config) -> Config:
    """The config without folders of this machine: of a path its last name."""
    train_list, val_list = (Path(n).name if Path(n).is_absolute() else n for n in (cfg.train_list, cfg.val_list))
    root, weights, deeplab = (Path(path).name for path in (cfg.root, cfg.weights, cfg.deeplab_weights))
    return replace(cfg, root=root, weights=weights, deeplab_weights=deeplab, train_list=train_list, val_list=val_list)
