"""A trained model as the files of its ModelFolder, and back."""

from dataclasses import replace
from pathlib import Path

import tomli_w
from safetensors.torch import save

from apc.config import Config, from_toml, to_dict
from apc.files import write_atomically, write_encoded
from apc.methods.base import Method
from apc.methods.registry import build
from apc.models.weights import misfits, read_weights
from apc.runs.copies import bring
from apc.runs.folder import ModelFolder


def save_model(folder: Path, model: Method, cfg: Config, classes: list[str]) -> None:
    """Write weights, class names and config: all that scoring and prediction need."""
    files = ModelFolder(folder)
    write_encoded(files.weights, save({k: v.contiguous() for k, v in model.state_dict().items()}))
    write_atomically(files.classes, "\n".join(classes) + "\n")
    write_atomically(files.config, tomli_w.dumps(to_dict(cfg)))


def load_model(folder: Path, device: str = "cpu") -> tuple[Method, Config, list[str]]:
    """Model, config and class names of a folder that save_model wrote; ValueError, with the file, where it is none."""
    files = ModelFolder(folder)
    bring(*files.needed)
    for path in files.needed:
        if not path.is_file():
            raise ValueError(f"{folder}: not the folder of a finished run; {path.name} is missing")
    try:
        classes = files.classes.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{files.classes}: not a text file in UTF-8") from None
    if len(classes) < 2:
        raise ValueError(f"{files.classes}: names {len(classes)} classes; it needs the background and one more")
    if classes[0] != "background" or "" in classes or len(set(classes)) < len(classes):
        raise ValueError(f"{files.classes}: must name background first, then each class once, one a line")
    try:
        cfg = from_toml(files.config)
        model = build(replace(cfg, weights="", deeplab_weights=""), len(classes))
    except ValueError as error:
        reason = str(error).removeprefix(f"{files.config}: ")
        raise ValueError(f"{files.config}: {reason}") from None
    model.encoder.open_last(cfg.unfreeze_blocks)
    state, own = read_weights(str(files.weights)), model.state_dict()
    if wrong := misfits(state, own):
        sizes: list[object] = [tuple(of[wrong[0]].shape) if wrong[0] in of else "absent" for of in (state, own)]
        if sizes[0] == sizes[1]:
            sizes = [of[wrong[0]].dtype for of in (state, own)]
        named = f"{files.config.name} with the {len(classes)} classes of {files.classes.name}"
        misfit = f"{wrong[0]} is {sizes[0]}, not {sizes[1]}"
        raise ValueError(f"{files.weights}: not of the architecture in {named}: {misfit}")
    model.load_state_dict(state)
    return model.to(device).eval(), cfg, classes
