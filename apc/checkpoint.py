"""Files a run leaves: the state of training, whole or not at all, and the weights of the finished model."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w
import torch
from safetensors.torch import save_file

from apc.config import Config, from_toml, to_dict
from apc.methods import build
from apc.model.method import Method
from apc.model.weights import misfits, read_weights
from apc.results import write_atomically


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training state (tensors and plain values) so that a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with open(part, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def load_state(path: Path) -> dict[str, Any] | None:
    """The training state of a file, or None where there is none; a damaged file counts as none."""
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a torn or foreign file: training starts again, nothing else is lost
        return None


def save_model(folder: Path, model: Method, cfg: Config, classes: list[str]) -> None:
    """Write model.safetensors, config.toml and classes.txt: all that scoring and prediction need."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".model.{os.getpid()}"
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, part)
    os.replace(part, folder / "model.safetensors")
    write_atomically(folder / "classes.txt", "\n".join(classes) + "\n")
    write_atomically(folder / "config.toml", tomli_w.dumps(to_dict(cfg)))


def load_model(folder: Path, device: str = "cpu") -> tuple[Method, Config, list[str]]:
    """Model, config and class names of a folder that save_model wrote; ValueError where it does not fit."""
    for name in ("config.toml", "classes.txt", "model.safetensors"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: not the folder of a finished run; {name} is missing")
    cfg = from_toml(folder / "config.toml")
    classes = (folder / "classes.txt").read_text().split("\n")[:-1]
    model = build(replace(cfg, weights=""), len(classes))
    model.encoder.open_last(cfg.unfreeze_blocks)
    state, own = read_weights(str(folder / "model.safetensors")), model.state_dict()
    if wrong := misfits(state, own):
        sizes = [tuple(of[wrong[0]].shape) if wrong[0] in of else "absent" for of in (state, own)]
        told = f"config.toml with the {len(classes)} classes of classes.txt: {wrong[0]} is {sizes[0]}, not {sizes[1]}"
        raise ValueError(f"{folder}/model.safetensors: not of the architecture in {told}")
    model.load_state_dict(state)
    return model.to(device).eval(), cfg, classes
