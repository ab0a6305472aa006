"""`apc eval`: a finished run scored again."""

from pathlib import Path
from typing import Annotated, Any

from apc.verbs import device_of, parse, positional, scores


def command(words: list[str]) -> None:
    def evaluate(
        folder: Annotated[Path, positional()],
        root: str = "",
        val_list: str = "",
        eval_size: int = 0,
        crf: str = "",
        device: str = "auto",
        threads: int = 1,
    ) -> tuple[Path, dict[str, Any], str, int]:
        """Score a finished run again on its validation images, under every protocol.

        Args:
            folder: Folder of a finished run, below runs/.
            root: Folder of other photographs; default: the run's own.
            val_list: Another list of validation images.
            eval_size: Side in pixels of the images; default: as trained.
            crf: Parameters of the dense CRF: none, vit_pcm, afa, toco or pocket; default: the run's own.
            device: auto, cpu, cuda or cuda:N.
            threads: Threads torch may use on the CPU.
        """
        given = {"root": root, "val_list": val_list, "eval_size": eval_size, "crf": crf}
        return folder, {k: v for k, v in given.items() if v}, device, threads

    folder, changes, device, threads = parse(evaluate, words, "apc eval")
    import torch

    from apc import data
    from apc.checkpoint import load_model
    from apc.config import from_dict
    from apc.evaluate.segmentation import iou, miou, score

    torch.set_num_threads(threads)
    method, trained, classes = load_model(folder, device_of(device))
    cfg = from_dict(changes, trained, "apc eval")
    split = data.load(cfg, "val")
    if split.classes != classes:
        theirs, ours = ", ".join(split.classes[1:]), ", ".join(classes[1:])
        raise ValueError(f"{cfg.root}/classes.txt: names {theirs}; the model knows {ours}")
    counts = score(method, split, cfg, device=device_of(device))
    totals = {name: matrices.sum(0) for name, matrices in counts.items()}
    if not totals["miou"].any():
        raise ValueError(f"{cfg.root}: no validation image has a mask, so nothing can be scored")
    print(f"{len(split)} images, squashed to {cfg.scored_size} pixels\n")
    print(f"{scores({name: miou(total) for name, total in totals.items()})}\n")
    for name, value in zip(classes, iou(totals["miou"]), strict=True):
        shown = f"{value:6.2f}" if value == value else "     –  (not in the truth)"
        print(f"  IoU of {name:20} {shown}")
