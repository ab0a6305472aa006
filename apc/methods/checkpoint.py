"""Files a run leaves: the state of training, whole or not at all, and the weights of the finished model."""

from dataclasses import replace
from pathlib import Path

import tomli_w
from safetensors.torch import save

from apc.config import Config, from_toml, to_dict
from apc.files import whole, write_atomically
from apc.methods.base import Method
from apc.methods.registry import build
from apc.models.weights import misfits, read_weights


def save_model(folder: Path, model: Method, cfg: Config, classes: list[str]) -> None:
    """Write model.safetensors, config.toml and classes.txt: all that scoring and prediction need."""
    with whole(folder / "model.safetensors") as part:
        part.write_bytes(save({k: v.contiguous() for k, v in model.state_dict().items()}))
    write_atomically(folder / "classes.txt", "\n".join(classes) + "\n")
    write_atomically(folder / "config.toml", tomli_w.dumps(to_dict(cfg)))


def load_model(folder: Path, device: str = "cpu") -> tuple[Method, Config, list[str]]:
    """Model, config and class names of a folder that save_model wrote; ValueError, with the file, where it is none."""
    for name in ("config.toml", "classes.txt", "model.safetensors"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: not the folder of a finished run; {name} is missing")
    try:
        classes = (folder / "classes.txt").read_text().splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{folder}/classes.txt: not a text file in UTF-8") from None
    if len(classes) < 2:
        raise ValueError(f"{folder}/classes.txt: names {len(classes)} classes; it needs the background and one more")
    try:
        cfg = from_toml(folder / "config.toml")
        model = build(replace(cfg, weights="", deeplab_weights=""), len(classes))
    except ValueError as error:
        told = str(error).removeprefix(f"{folder}/config.toml: ")
        raise ValueError(f"{folder}/config.toml: {told}") from None
    model.encoder.open_last(cfg.unfreeze_blocks)
    state, own = read_weights(str(folder / "model.safetensors")), model.state_dict()
    if wrong := misfits(state, own):
        sizes = [tuple(of[wrong[0]].shape) if wrong[0] in of else "absent" for of in (state, own)]
        told = f"config.toml with the {len(classes)} classes of classes.txt: {wrong[0]} is {sizes[0]}, not {sizes[1]}"
        raise ValueError(f"{folder}/model.safetensors: not of the architecture in {told}")
    model.load_state_dict(state)
    return model.to(device).eval(), cfg, classes
