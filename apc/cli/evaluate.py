"""`apc eval`: a checkpoint scored, under every protocol that the flags name, in one pass over the photographs."""

import resource
import sys
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from apc.cli.parsing import parse, positional
from apc.devices import device_of, set_threads
from apc.parallel import cores, progress
from apc.runs.folder import ModelFolder
from apc.runs.scores import BRANCHES, DEFAULT_SCALES, RUNS_OWN, Protocol, combinations


@dataclass
class Given:
    """The flags."""

    checkpoint: Path
    changes: dict[str, Any]
    protocols: list[Protocol]
    out: Path | None
    submission: Path | None
    crf_workers: int
    device: str
    threads: int


def command(words: list[str]) -> None:
    def evaluate(
        checkpoint: Annotated[Path, positional()],
        root: str = "",
        val_list: str = "",
        sizes: tuple[int, ...] = (),
        aspect: tuple[Literal["squash", "keep"], ...] = ("squash",),
        multi_scale: tuple[float, ...] | None = None,
        branches: tuple[Literal["decoder", "patch"], ...] = ("decoder", "patch"),
        image_labels: tuple[Literal["without", "with"], ...] = ("without", "with"),
        crf: tuple[str, ...] = (RUNS_OWN,),
        crf_workers: int = cores(),
        out: Path | None = None,
        export_submission: Path | None = None,
        device: str = "auto",
        threads: int = 1,
    ) -> Given:
        """Score a checkpoint on validation images. Flags that take several values multiply: every combination is a
        protocol with a name of its own, and what they share is computed once.

        Args:
            checkpoint: Folder of a finished run, its best/, or what `apc export` wrote.
            root: Folder of other photographs; default: the run's own.
            val_list: Another list of validation images; a .txt of bare names, as VOC's test.txt, can only be submitted.
            sizes: Sides in pixels of what the network is shown, such as 640 800 960 1120; default: the run's own.
            aspect: squash to a square, or keep the aspect with the size as the long side.
            multi_scale: Add the mean of the probabilities over these scales, plain and flipped; no number: 0.5 to 1.5.
            branches: Outputs that are scored.
            image_labels: Whether the image labels of the scored images are given; with them it is a pseudo mask.
            crf: Dense CRFs beside the plain score: none, own (the run's), vit_pcm, afa, toco, toco_cam, irn, deeplab, pocket.
            crf_workers: Processes that run the CRF while the network goes on; 0 runs it in between.
            out: Write scores, seconds and stamp to this .json file, and what each image scored beside it.
            export_submission: Write masks and archive for the VOC test server below this folder; no truth is needed.
            device: auto, cpu, cuda or cuda:N.
            threads: Threads torch may use on the CPU; 0 is a thread a core.
        """  # noqa: E501
        scales = [()] if multi_scale is None else [(), multi_scale or DEFAULT_SCALES]
        protocols = combinations(
            [b for b in BRANCHES if b in branches],
            [given == "with" for given in image_labels],
            sizes or (0,),
            [kept == "keep" for kept in aspect],
            scales,
            ["", *(name for name in crf if name != "none")],
        )
        changes = {"root": root, "val_list": val_list, "eval_size": sizes[0] if sizes and "squash" in aspect else 0}
        kept = {k: v for k, v in changes.items() if v}
        return Given(checkpoint, kept, protocols, out, export_submission, crf_workers, device, threads)

    given = parse(evaluate, words, "apc eval")
    _check(given)
    _evaluate(given, device_of(given.device))


def _check(given: Given) -> None:
    """ValueError for what can be known before anything is loaded."""
    if not given.protocols:
        raise ValueError("branches, image_labels and aspect need one value at least")
    if given.crf_workers < 0:
        raise ValueError(f"crf_workers is {given.crf_workers}; give 1 or more, or 0 for none")
    if given.out and (given.out.suffix != ".json" or given.out.is_dir()):
        raise ValueError(f"out is {given.out}; give the name of a .json file")
    if given.submission and all(p.image_labels for p in given.protocols):
        raise ValueError("export_submission: image_labels is with; the VOC server scores masks made without")


def _evaluate(given: Given, device: str) -> None:
    import torch

    from apc import data
    from apc.config import from_dict, without_paths
    from apc.evaluation.inference import Cost, showings
    from apc.evaluation.miou import score
    from apc.evaluation.score_tables import class_table, outcome, save, table
    from apc.evaluation.voc_submission import BELOW, submission, unlabelled
    from apc.files import file_fingerprint, require_writable
    from apc.methods.checkpoint import load_model
    from apc.runs.stamp import stamp

    set_threads(given.threads)
    method, trained, classes = load_model(given.checkpoint, device)
    cfg, patch = from_dict(given.changes, trained, "apc eval"), method.encoder.patch
    protocols = [p for p in given.protocols if not (p.crf == RUNS_OWN and cfg.crf == "none")]
    for p in protocols:
        showings(p, cfg, patch)
    for folder in (given.out and given.out.parent, given.submission):
        if folder:
            require_writable(folder)
    split = unlabelled(cfg, classes) if cfg.val_list.endswith(".txt") else data.load(cfg, "val")
    if split.classes != classes:
        theirs, ours = ", ".join(split.classes[1:]), ", ".join(classes[1:])
        raise ValueError(f"{cfg.root or cfg.dataset}: the data set names {theirs}; the model knows {ours}")
    masked = any(split.mask(i) is not None for i in range(len(split)))
    if not masked and (given.out or not given.submission):
        raise ValueError(f"{cfg.root}: no validation image has a mask, so nothing can be scored")
    submitted = [p for p in protocols if not p.image_labels and p.branch == protocols[0].branch][-1:]
    kept = submission(given.submission, split.names, classes) if given.submission else nullcontext()

    cost, before = Cost(), _resident_gib()
    try:
        with kept as keep, progress("photographs", len(split)) as done:
            counts = score(
                method,
                split,
                cfg,
                protocols if masked else [],
                device,
                crf_workers=given.crf_workers,
                cost=cost,
                progress=done,
                keep=keep,
                keep_protocols=submitted if keep else [],
            )
    except BrokenProcessPool:
        raise ValueError(f"crf_workers is {given.crf_workers}; one was killed, perhaps for memory") from None
    grown = _resident_gib() - before
    print(f"{len(split)} images, {_how(protocols, cfg.scored_size)}\n")
    if masked:
        found = outcome(counts, protocols, cost, cfg, patch, classes)
        print(f"{table(found)}\n\n{class_table(found)}\n")
        gpu = device.startswith("cuda")
        on_cpu = f"memory: the process's max RSS grew by {grown:.2f} GiB (CPU)"
        print("memory is the most that torch held on the GPU" if gpu else on_cpu)
        if given.out:
            told = stamp(
                val_data=data.fingerprint(replace(cfg, train_list=cfg.val_list)),
                **data.provenance(cfg),
                model=file_fingerprint(str(ModelFolder(given.checkpoint).weights)),
                images=len(split),
                device=torch.cuda.get_device_name(device) if gpu else "cpu",
                threads=torch.get_num_threads(),
                crf_workers=given.crf_workers,
            )
            save(
                given.out,
                {
                    "checkpoint": given.checkpoint.name,
                    "config": without_paths(cfg),
                    "classes": classes,
                    "protocols": found,
                    "rss_growth_gib": None if gpu else grown,
                    "stamp": told,
                },
                counts,
            )
            print(f"{given.out}: scores with their stamp; {given.out.with_suffix('.npz').name}: what each image scored")
    if given.submission:
        archive = given.submission / f"{BELOW.name}.tar.gz"
        print(f"{archive}: {len(split)} masks ({submitted[0].name}) for the VOC test server, as competition 6")


def _how(protocols: list[Protocol], runs_own: int) -> str:
    """What the network was shown, in words."""
    told = []
    for keep, words in ((False, "squashed to"), (True, "aspect kept with a long side of")):
        sizes = dict.fromkeys(str(p.size or runs_own) for p in protocols if p.keep_aspect == keep)
        told += [f"{words} {', '.join(sizes)} pixels"] if sizes else []
    return " and ".join(told)


def _resident_gib() -> float:
    """The most memory this process has had so far, in GiB; macOS counts bytes, Linux KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
