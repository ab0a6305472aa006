"""What `apc eval` found: numbers by protocol, as a table for a terminal and as a JSON file with its stamp.

Shapes: n photographs, C classes.
"""

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from apc.config import Config
from apc.evaluation.forward import Passes
from apc.evaluation.miou import Counts, iou, miou, pixel_accuracy
from apc.evaluation.scoring import Cost
from apc.files import whole, write_atomically
from apc.models.crf import CRF
from apc.runs.protocols import RUNS_OWN, Protocol


def outcome(
    counts: dict[str, Counts],
    protocols: dict[Protocol, Passes],
    cost: Cost,
    cfg: Config,
    classes: list[str],
) -> dict[str, dict[str, Any]]:
    """Scores in percent, seconds a photograph and GiB by protocol name, of protocols with their passes (`showings`)."""
    outcomes = {}
    for p, passes in protocols.items():
        total = counts[p.name].total
        crf = cfg.crf if p.crf == RUNS_OWN else p.crf
        spent = cost.crf_seconds.get(p, [])
        outcomes[p.name] = {
            "miou": miou(total),
            "pixel_accuracy": pixel_accuracy(total),
            "iou": {c: None if np.isnan(v) else float(v) for c, v in zip(classes, iou(total), strict=True)},
            "seconds": sum(cost.seconds[s] / cost.images[s] for s in passes.showings if s in cost.images),
            "crf_seconds": float(np.mean(spent)) if spent else None,
            "peak_gib": max((cost.peak_gib[s] for s in passes.showings if s in cost.peak_gib), default=None),
            "meaning": p.meaning,
            "protocol": asdict(p) | {"size": p.size or cfg.scored_size, "crf": crf},
            "crf_parameters": CRF[crf]._asdict() if crf else None,
            "confusion": total.tolist(),
        }
    return outcomes


def with_a_tally(counts: dict[str, Counts]) -> int:
    """Photographs that count in the scores: those whose mask has a pixel that is not ignored."""
    return max((int(sums.images.any(axis=(1, 2)).sum()) for sums in counts.values()), default=0)


def table(outcomes: dict[str, dict[str, Any]]) -> str:
    """Scores, seconds a photograph and memory, a line a protocol."""
    gpu = any(f["peak_gib"] is not None for f in outcomes.values())
    width = max(len("protocol"), *(len(name) for name in outcomes))
    head = f"  {'protocol':{width}} {'mIoU':>6}  {'pixels':>6}  {'network':>9}  {'CRF':>9}  "
    lines = [head + f"{'memory':>9}  " * gpu + "what it is"]
    for name, f in outcomes.items():
        crf = f"{f['crf_seconds']:7.3f} s" if f["crf_seconds"] is not None else f"{'–':>9}"
        memory = f"{f['peak_gib']:5.2f} GiB  " if gpu else ""
        scores = f"{f['miou']:6.2f}  {f['pixel_accuracy']:6.2f}"
        lines.append(f"  {name:{width}} {scores}  {f['seconds']:7.3f} s  {crf}  {memory}{f['meaning']}")
    lines.append("\nseconds are a photograph's mean, the network's by the clock, the CRF's on one core")
    combined = {f["protocol"]["combine"] for f in outcomes.values() if f["protocol"]["scales"]}
    if "mean" in combined:
        lines.append("multi-scale: probabilities averaged at the photograph's own size, each scale plain and flipped")
    if "max" in combined:
        lines.append(
            "greatest logits: a scale's plain and flipped logits summed (averaged for AFA), the most over scales"
        )
    return "\n".join(lines)


def class_table(outcomes: dict[str, dict[str, Any]], most: int = 6) -> str:
    """IoU in percent of each class, under the protocols of the first one's branch, six at most."""
    first = next(iter(outcomes.values()))["protocol"]
    alike = ("branch", "image_labels")
    same = [n for n, f in outcomes.items() if all(f["protocol"][k] == first[k] for k in alike)][:most]
    widths = [max(len(name), 6) for name in same]
    lines = [" " * 29 + "  ".join(f"{name:>{w}}" for name, w in zip(same, widths, strict=True))]
    for c in outcomes[same[0]]["iou"]:
        values = [outcomes[name]["iou"][c] for name in same]
        cells = [f"{'–' if v is None else format(v, '.2f'):>{w}}" for v, w in zip(values, widths, strict=True)]
        lines.append(f"  IoU of {c:20}" + "  ".join(cells) + ("  (not in the truth)" if values[0] is None else ""))
    return "\n".join(lines)


def save(path: Path, outcome: dict[str, Any], counts: dict[str, Counts]) -> None:
    """Write the JSON file, and beside it, as .npz, the tallies (n,3,C) of the photographs by protocol."""
    tallies: dict[str, Any] = {name: sums.images for name, sums in counts.items()}
    encoded = io.BytesIO()
    np.savez_compressed(encoded, **tallies)
    with whole(path.with_suffix(".npz")) as part:  # both or neither
        part.write_bytes(encoded.getvalue())
        write_atomically(path, json.dumps(outcome, indent=1) + "\n")
