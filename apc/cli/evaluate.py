"""`apc eval`: a checkpoint scored, under every protocol that the flags name, in one pass over the photographs."""

import resource
import sys
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from apc.devices import device_of, set_threads
from apc.escaping import counted, say
from apc.flags import POSITIONAL, Flag, parse
from apc.parallel import cores, progress
from apc.runs.folder import ModelFolder
from apc.runs.protocols import BRANCHES, DEFAULT_SCALES, RUNS_OWN, Protocol, combinations


@dataclass(frozen=True, kw_only=True)
class EvaluateFlags:
    """Score a checkpoint on validation images. Flags that take several values multiply: every combination is a protocol
    with a name of its own, and what they share is computed once. Where no image has a mask, and no such flag is named,
    the scores by image labels are printed."""

    checkpoint: Annotated[Path, POSITIONAL]
    """Folder of a finished run, also in a store, its best/, or what `apc export` wrote."""
    root: str = ""
    """Folder of other photographs; default: the run's own."""
    val_list: str = ""
    """Another list of validation images; a .txt of bare names, as VOC's test.txt, can only be submitted."""
    sizes: tuple[int, ...] = ()
    """Sides in pixels of what the network is shown, such as 640 800 960 1120; default: the run's own."""
    aspect: tuple[Literal["squash", "keep"], ...] = ("squash",)
    """squash to a square, or keep the aspect with the size as the long side."""
    multi_scale: Annotated[tuple[float, ...] | None, Flag(empty=True)] = None
    """Add the mean of the probabilities over these scales, plain and flipped; no number: 0.5 to 1.5."""
    combine: tuple[Literal["mean", "max"], ...] = ("mean",)
    """With --multi-scale: the mean, or max, the greatest of the decoder's logits over scales, a scale's flips summed,
    as ToCo and AFA are published."""
    branches: tuple[Literal["decoder", "patch"], ...] = ("decoder", "patch")
    """Outputs that are scored."""
    image_labels: tuple[Literal["without", "with"], ...] = ("without", "with")
    """Whether the image labels of the scored images are given; with them it is a pseudo mask."""
    crf: tuple[str, ...] = (RUNS_OWN,)
    """Dense CRFs beside the plain score: none, own (the run's), vit_pcm, afa, toco, toco_cam, irn, deeplab, pocket."""
    crf_workers: int = field(default_factory=cores)
    """Processes that run the CRF while the network goes on; 0 runs it in between (default: a process a core)."""
    out: Path | None = None
    """Write scores, seconds and stamp to this .json file, and what each image scored beside it."""
    export_submission: Path | None = None
    """Write masks and archive for the VOC test server below this folder, of the last combination without image labels;
    no truth is needed, but --val-list must name the server's list."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 1
    """Threads torch may use on the CPU; 0 is a thread a core."""

    @property
    def protocols(self) -> list[Protocol]:
        """Every combination of what the flags name."""
        scales = [()] if self.multi_scale is None else [(), self.multi_scale or DEFAULT_SCALES]
        return combinations(
            [branch for branch in BRANCHES if branch in self.branches],
            [labels == "with" for labels in self.image_labels],
            self.sizes or (0,),
            [aspect == "keep" for aspect in self.aspect],
            scales,
            ["", *(name for name in self.crf if name != "none")],
            self.combine,
        )

    @property
    def changes(self) -> dict[str, Any]:
        """Fields of the run's Config that the flags change."""
        size = self.sizes[0] if self.sizes and "squash" in self.aspect else 0
        changes = {"root": self.root, "val_list": self.val_list, "eval_size": size}
        return {name: value for name, value in changes.items() if value}


def command(words: list[str]) -> None:
    flags = parse(EvaluateFlags, words, "apc eval")
    _check(flags)
    _evaluate(flags, device_of(flags.device))


def _check(flags: EvaluateFlags) -> None:
    """ValueError for what can be known before anything is loaded."""
    protocols = flags.protocols  # refuses sizes and scales that cannot be
    if "max" in flags.combine and (flags.multi_scale is None or "decoder" not in flags.branches):
        raise ValueError("combine is max; that is of the decoder's logits over scales: name them with --multi-scale")
    if flags.crf_workers < 0:
        raise ValueError(f"crf_workers is {flags.crf_workers}; give 1 or more, or 0 for none")
    if flags.out and (flags.out.suffix != ".json" or flags.out.is_dir()):
        raise ValueError(f"out is {flags.out}; give the name of a .json file")
    if flags.export_submission and all(p.image_labels for p in protocols):
        raise ValueError("export_submission: image_labels is with; the VOC server scores masks made without")


def _evaluate(flags: EvaluateFlags, device: str) -> None:
    import torch

    from apc import data
    from apc.config import from_dict, without_paths
    from apc.data import agreement
    from apc.data.split import require_other
    from apc.evaluation.evidence import label_scores
    from apc.evaluation.forward import showings
    from apc.evaluation.miou import score
    from apc.evaluation.score_tables import class_table, outcome, save, table, with_a_tally
    from apc.evaluation.scoring import Cost, Keep, Scoring
    from apc.evaluation.voc_submission import BELOW, submission, unlabelled
    from apc.files import file_fingerprint, require_writable
    from apc.methods.checkpoint import load_model
    from apc.runs.mirror import model_folder
    from apc.runs.scores import in_a_line
    from apc.runs.stamp import stamp

    set_threads(flags.threads)
    checkpoint = model_folder(flags.checkpoint)
    method, trained, classes = load_model(checkpoint, device)
    require_other(trained, flags.root, flags.val_list)
    cfg, encoder = from_dict(flags.changes, trained, "apc eval"), method.encoder
    protocols = [p for p in flags.protocols if not (p.crf == RUNS_OWN and cfg.crf == "none")]
    passes = {p: showings(p, cfg, encoder.patch, encoder.least) for p in protocols}
    for folder in (flags.out and flags.out.parent, flags.export_submission):
        if folder:
            require_writable(folder)
    split = unlabelled(cfg, classes) if cfg.val_list.endswith(".txt") else data.load(cfg, "val")
    if split.classes != classes:
        theirs, ours = ", ".join(split.classes[1:]), ", ".join(classes[1:])
        raise ValueError(f"{cfg.root or cfg.dataset}: the data set names {theirs}; the model knows {ours}")
    masked = split.masked
    if not masked and (flags.out or not flags.export_submission):
        _require_plain(flags, cfg.root)
        scores = label_scores(method, split, cfg, Scoring(device))
        say(f"no validation image has a mask, so {counted(len(split), 'image')} by their labels alone\n")
        say("\n".join(f"  {name:18} {value:6.2f}  {in_a_line(name)}" for name, value in scores.items()))
        return
    agreement.tell(agreement.require_scorable(split, cfg))
    could = [p for p in protocols if not p.image_labels and p.branch == protocols[0].branch]
    submitted = could[-1:]
    if flags.export_submission:
        say(_submitted(could, cfg.val_list if masked else ""))
    kept = submission(flags.export_submission, split.names, classes) if flags.export_submission else nullcontext()

    cost, before = Cost(), _resident_gib()
    try:
        with kept as keep, progress("photographs", len(split)) as done:
            keeps = Keep(keep, submitted) if keep else None
            scoring = Scoring(device, flags.crf_workers, cost=cost, progress=done, keep=keeps)
            counts = score(method, split, cfg, protocols if masked else [], scoring)
    except BrokenProcessPool:
        raise ValueError(f"crf_workers is {flags.crf_workers}; one was killed, perhaps for memory") from None
    grown = _resident_gib() - before
    scored_images = with_a_tally(counts) if masked else len(split)
    of_all = "" if scored_images == len(split) else f"{scored_images} with a mask of "
    print(f"{of_all}{counted(len(split), 'image')}, {_showings_in_words(protocols, cfg.scored_size)}\n")
    if masked:
        scored = outcome(counts, passes, cost, cfg, classes)
        say(f"{table(scored)}\n\n{class_table(scored)}\n")
        gpu = device.startswith("cuda")
        on_cpu = f"memory: the process's max RSS grew by {grown:.2f} GiB (CPU)"
        print("memory is the most that torch held on the GPU" if gpu else on_cpu)
        if flags.out:
            report = {
                "checkpoint": flags.checkpoint.name,
                "config": without_paths(cfg),
                "classes": classes,
                "protocols": scored,
                "rss_growth_gib": None if gpu else grown,
                "stamp": stamp(
                    val_data=data.fingerprint(replace(cfg, train_list=cfg.val_list)),
                    **data.provenance(cfg),
                    model=file_fingerprint(str(ModelFolder(checkpoint).weights)),
                    images=scored_images,
                    device=torch.cuda.get_device_name(device) if gpu else "cpu",
                    threads=torch.get_num_threads(),
                    crf_workers=flags.crf_workers,
                ),
            }
            save(flags.out, report, counts)
            say(f"{flags.out}: scores with their stamp; {flags.out.with_suffix('.npz').name}: what each image scored")
    if flags.export_submission:
        archive = flags.export_submission / f"{BELOW.name}.tar.gz"
        say(f"{archive}: {len(split)} masks ({submitted[0].name}) for the VOC test server, as competition 6")


def _require_plain(flags: EvaluateFlags, root: str) -> None:
    """ValueError for flags that say how to score by masks, where there are none."""
    if flags.out or flags.protocols != EvaluateFlags(checkpoint=flags.checkpoint).protocols:
        bare = f"{root}: no validation image has a mask, so nothing can be scored by masks or written"
        raise ValueError(f"{bare}; without --out and the flags of protocols the scores by image labels are printed")


def _submitted(could: list[Protocol], scored: str) -> str:
    """Which combination is packed, the last one, and that a list which is `scored` is none of the test server's."""
    of = f", the last of {len(could)} combinations; name fewer flags for another" if len(could) > 1 else ""
    told = f"packed for the test server: {could[-1].name}, {could[-1].meaning}{of}"
    return (
        f"{told}\nnote: {scored} has masks, so it is not the server's list: name that with --val-list"
        if scored
        else told
    )


def _showings_in_words(protocols: list[Protocol], runs_own: int) -> str:
    """What the network was shown, in words."""
    phrases = []
    for keep, words in ((False, "squashed to"), (True, "aspect kept with a long side of")):
        sizes = dict.fromkeys(str(p.size or runs_own) for p in protocols if p.keep_aspect == keep)
        phrases += [f"{words} {', '.join(sizes)} pixels"] if sizes else []
    return " and ".join(phrases)


def _resident_gib() -> float:
    """The most memory this process has had so far, in GiB; macOS counts bytes, Linux KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
