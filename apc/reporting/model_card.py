"""The model card of an exported model: front matter that a hub reads, and a page that a person reads. No torch.

Everything in it comes from the run's row; folders of the machine that trained it are not among that.
"""

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from apc.config import PRESETS, default_of, plus, to_dict
from apc.escaping import as_code, counted, in_a_line, in_markdown
from apc.runs.protocols import parse
from apc.runs.rows import Row
from apc.runs.scores import LOWER_IS_BETTER

_METHODS = {
    "apc": "Adaptive Patch Contrast (APC)",
    "vit_pcm": "ViT-PCM",
    "afa": "Affinity from Attention (AFA)",
    "toco": "Token Contrast (ToCo)",
}

PAPER = (
    "Wangyu Wu, Tianhong Dai, Zhenhong Chen, Xiaowei Huang, Jimin Xiao, Fei Ma, Renrong Ouyang:\n"
    "Adaptive Patch Contrast for Weakly Supervised Semantic Segmentation"
)
_BESIDE = ("crop_scale", "jitter", "grey", "blur", "lr_decay", "pseudo_label", "teacher", "swap")
"""Fields that are off in the paper's setting; see docs/reference/methods.md."""
_BESIDE_APC = ("pseudo_threshold", "seg_loss", "schedule")
"""Further ones, which other methods have otherwise in settings of their own."""
_OF_ROUNDS = ("round_lr", "round_weight", "round_threshold")
_STAMP = (
    "commit",
    "protocol",
    "time",
    "machine",
    "device",
    "threads",
    "processes",
    "python",
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "pydensecrf2",
)


def model_card(row: Row, name: str, license: str = "", epoch: int = 0, scored: int = 0) -> str:
    """README.md of a model: `name` is its folder's, `license` a hub's word for its weights' licence.

    `epoch` names the epoch of a model that is not the last one's; the row then has that epoch's scores only. `scored`
    are the validation photographs that have a mask, where that is known.
    """
    return f"{_front_matter(row, name, license)}{_page(row, name, license, epoch, scored)}"


def at_best_epoch(row: Row) -> tuple[Row, int]:
    """The row of best/: the scores of the epoch before the last that scored best, and which epoch that is."""
    by = row.stamp.get("best_by", "miou")
    scored = [entry for entry in row.curve if by in entry and entry["epoch"] < row.config["epochs"]]
    if not scored:
        raise ValueError(f"run {row.run}: no epoch was scored while it trained; export the run's own folder")
    sign = -1 if by in LOWER_IS_BETTER else 1
    entry = max(scored, key=lambda e: sign * e[by])  # the first of equals, as training keeps it
    metrics = {name: entry[name] for name in dict.fromkeys((by, "miou")) if name in entry}
    return replace(row, metrics=metrics, per_class={}), int(entry["epoch"])


class ProtocolScore(NamedTuple):
    """A score of the run."""

    value: float
    """mIoU, percent."""
    meaning: str


def _protocol_scores(row: Row) -> dict[str, ProtocolScore]:
    """Scores by protocol name; numbers that are no protocol's score are left out."""
    scores = {}
    for name, value in row.metrics.items():
        try:
            meaning = parse(name.removeprefix("test_")).meaning
        except ValueError:
            continue
        scores[name] = ProtocolScore(value, meaning + (", untouched test split" if name.startswith("test_") else ""))
    return scores


def _data_name(row: Row) -> str:
    """The data set, as its folder is called."""
    return Path(row.config.get("root", "")).name or str(row.config["dataset"])


def _front_matter(row: Row, name: str, license: str) -> str:
    """YAML between two lines of dashes; every text is quoted as JSON does, which YAML reads too."""
    lines = ["---", f"license: {_quoted(license or 'other')}", "library_name: apc-search"]
    lines += ["pipeline_tag: image-segmentation", "tags:"]
    lines += ["- semantic-segmentation", "- weakly-supervised-segmentation"]
    scores = _protocol_scores(row)
    if scores:
        lines += ["metrics:", "- mean_iou", "model-index:", f"- name: {_quoted(name)}", "  results:"]
        for split in ("validation", "test"):
            of_split = {name: s for name, s in scores.items() if name.startswith("test_") == (split == "test")}
            lines += _result(row, split, of_split) if of_split else []
    return "\n".join([*lines, "---", ""])


def _result(row: Row, split: str, scores: dict[str, ProtocolScore]) -> list[str]:
    """The scores on one split, as a hub lists them."""
    dataset = {"name": _data_name(row), "type": str(row.config["dataset"]), "split": split}
    dataset |= {"revision": str(row.stamp.get("data", "unknown"))}
    lines = ["  - task:", "      type: image-segmentation", "      name: Semantic segmentation", "    dataset:"]
    lines += [f"      {key}: {_quoted(value)}" for key, value in dataset.items()]
    lines += ["    metrics:"]
    for metric, (value, meaning) in scores.items():
        lines += ["    - type: mean_iou", f"      name: {_quoted(f'{metric}: {meaning}')}"]
        lines += [f"      value: {value:.2f}", "      verified: false"]
    return lines


def _quoted(text: str) -> str:
    """A text as YAML and JSON both read it."""
    return json.dumps(text, ensure_ascii=False)


def _page(row: Row, name: str, license: str, epoch: int, scored: int) -> str:
    """What a person reads."""
    config, stamp, data = row.config, row.stamp, _data_name(row)
    word, fingerprint = shlex.quote(in_a_line(name)), as_code(stamp.get("data", "unknown"))
    train, val = (in_markdown(stamp.get("images", {}).get(split, "?")) for split in ("train", "val"))
    val = f"{scored} (of {val}) with a mask" if scored and str(scored) != val else val
    things = in_markdown(", ".join(row.classes[1:]))
    size = config["eval_size"] or config["image_size"]
    method = _METHODS.get(config["method"], in_markdown(config["method"]))
    if _is_plus(config, epoch or config["epochs"]):
        method = "APC+, Adaptive Patch Contrast (APC) and then training on its own masks"
    root = "" if config["dataset"] == "pocket" else " --root DATA"
    beside = "" if config["dataset"] == "pocket" else "; DATA holds images/, masks/, val.csv and classes.txt"
    if config["dataset"] in ("voc", "coco"):
        beside = "; DATA is what `apc data prepare` made"
    return f"""
# {in_markdown(name)}: masks of {things if len(row.classes) < 12 else f"{len(row.classes) - 1} classes"}

This model gives every pixel of a photograph one of {len(row.classes)} classes: background, {things}.
It learned that from image labels alone, that is, from which classes each photograph shows, with
{method}. {_labels(config)}

## Use

```sh
pip install .  # in the source of APC Search{_at(stamp.get("commit"))}
apc predict {word} photos/ --out predictions  # masks, overlays, heat maps, a contact sheet
apc eval {word}{root}  # score it{beside}
```

## The model

{_table(("what", "value"), _settings(row, epoch))}

Every setting is in `config.toml`, every class in `classes.txt`, in the order of the masks' numbers.

## The data

{as_code(data)} (fingerprint {fingerprint}): {train} photographs with image labels to
train on, {val} to score on.

## Scores

{_scores(row)}
## Where the numbers come from

{_table(("what", "value"), [(key, in_markdown(stamp[key])) for key in _STAMP if key in stamp])}
{_dirty(stamp)}
Where a setting was chosen by its score, it was chosen on the photographs that are scored here, as the paper does it.

## Limits

- It knows these classes and no others; anything else is background, or taken for the class it resembles.
- It sees a photograph at {size} pixels in patches: small and thin things get lost, edges are coarse before the CRF.
- The scores are of one run, one seed and one data set; photographs of another kind may do worse. Look at yours first.
- Things that mostly appear together (a horse and its rider, a cow and grass) may be mixed up: image labels do not say
  which pixel is which.

## Licence

{_licence(license)}

## Citation

{PAPER}.
"""


def _settings(row: Row, epoch: int) -> list[tuple[str, Any]]:
    """What the model is and how it was trained, a line each."""
    config = row.config
    which = f"epoch {epoch} of {config['epochs']}, the best scored one" if epoch else counted(config["epochs"], "epoch")
    size = config["eval_size"] or config["image_size"]
    share = config.get("k_share", 0.0)
    most = f", k = {share:.3g} of the patches" if share else f", k = {config['k']}"
    details = {"top_k": most, "adaptive_k": f"{most}, θ = {config['theta']:g}"}
    return [
        ("method", in_markdown(config["method"])),
        ("encoder", in_markdown(config["encoder"])),
        ("its weights before training", in_markdown(config["weights"] or "none, from random numbers")),
        ("their fingerprint", in_markdown(row.stamp.get("weights") or "–")),
        ("trained", f"{which}, seed {config['seed']}"),
        *_rounds(config, epoch or config["epochs"]),
        ("photographs are resized to", f"{config['image_size']} pixels in training, {size} in scoring"),
        ("pooling", config["pooling"] + details.get(config["pooling"], "")),
        ("λ1, λ2", _weights(config, epoch or config["epochs"])),
        *_parts(config),
        ("dense CRF of the `_crf` scores and of `apc predict`", in_markdown(config["crf"])),
        ("run", in_markdown(row.run)),
    ]


def _rounds(config: dict[str, Any], epoch: int) -> list[tuple[str, str]]:
    """Of how many epochs it learnt from its own masks, where it did by this epoch."""
    learnt = _learnt(config, epoch)
    if not learnt:
        return []
    rounds = -(-learnt // config["round_epochs"])
    refined = {"none": "as they are", "par": "refined by PAR", "crf": "refined by the dense CRF"}
    own = f"from its own masks of the training photographs, {refined[config['round_refine']]}"
    if (scales := list(config.get("round_scales", ()))) not in ([], [1.0]):
        own += f", made at {' and '.join(f'{scale:g}' for scale in scales)} times their size"
    if others := _other(config, _OF_ROUNDS):
        own += f"; {others}"
    return [
        ("self-training", f"the last {learnt} epoch{'s' * (learnt > 1)}, in {rounds} round{'s' * (rounds > 1)}, {own}")
    ]


def _learnt(config: dict[str, Any], epoch: int) -> int:
    """Epochs of rounds until this one."""
    return max(int(epoch - config["epochs"] + config.get("rounds", 0) * config.get("round_epochs", 0)), 0)


def _is_plus(config: dict[str, Any], epoch: int) -> bool:
    """Whether a model has learnt in a round of APC+, whatever else was chosen and however many followed; those of few
    photographs are as much longer as all before them."""
    preset = PRESETS[config["dataset"]]()
    best = plus(preset)
    before = config["epochs"] - config.get("rounds", 0) * config.get("round_epochs", 0)
    each = (best.round_epochs, round(best.round_epochs * before / preset.epochs))
    same = ("round_scales", "round_refine", *_OF_ROUNDS)
    made = to_dict(best)
    return bool(
        _learnt(config, epoch)
        and config["round_epochs"] in each
        and all(config.get(name, made[name]) == made[name] for name in same)
    )


def _weights(config: dict[str, Any], epoch: int) -> str:
    """Both weights, the first as far as it was in force."""
    told = f"{config['lambda1']:g}, {config['lambda2']:g}"
    weight = config.get("round_weight", default_of("round_weight"))
    return told + f"; in the rounds {weight:g} in the place of λ1" * bool(_learnt(config, epoch))


def _parts(config: dict[str, Any]) -> list[tuple[str, str]]:
    """The fields of parts that the paper does not have, where some are on."""
    own = _other(config, (*_BESIDE, *(_BESIDE_APC if config["method"] == "apc" else ())))
    return [("parts beside the paper's", own)] if own else []


def _other(config: dict[str, Any], names: Sequence[str]) -> str:
    """ "crop_scale 0.5, teacher 0.033", as Markdown: those of the fields that are not at their default, the paper's."""
    own = {name: config[name] for name in names if config.get(name, default_of(name)) != default_of(name)}
    return in_markdown(", ".join(f"{k} {v}" for k, v in own.items()))


def _labels(config: dict[str, Any]) -> str:
    """Where the image labels came from."""
    if config["dataset"] in ("voc", "coco") and config.get("label_source") == "masks":
        return "These image labels were read off the training masks, as ViT-PCM does."
    return "No mask was opened for training."


def _at(commit: Any) -> str:
    """The commit, where it is known."""
    return f" at commit {in_a_line(commit)}" if commit and commit != "unknown" else ""


def _dirty(stamp: dict[str, Any]) -> str:
    """A warning where the code was not that of the commit."""
    return "\nThe code differed from that commit.\n" if stamp.get("dirty") else ""


def _scores(row: Row) -> str:
    """Scores by protocol and by class."""
    scores = _protocol_scores(row)
    if not scores:
        return "None: no validation photograph had a mask, so nothing could be scored.\n"
    rows = [(as_code(name), f"{value:.2f}", meaning) for name, (value, meaning) in scores.items()]
    text = "Mean IoU in percent over the classes that occur in the truth, on the validation photographs. `miou` is\n"
    text += "the headline. Scores with image labels given are of pseudo masks; compare them with no others.\n\n"
    text += _table(("name", "mIoU", "what was scored"), rows) + "\n"
    if per_class := row.per_class.get("miou"):
        pairs = [
            (in_markdown(c), "–" if v is None else f"{v:.2f}") for c, v in zip(row.classes, per_class, strict=True)
        ]
        text += f"\n{_table(('class', 'IoU (`miou`)'), pairs)}\n"
    return text


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _licence(license: str) -> str:
    """Whose terms bind the weights and the code."""
    weights = (
        f"The weights: {in_markdown(license)}."
        if license
        else "Whoever publishes these weights states their licence here."
    )
    return f"""{weights}
They are bound by the terms of the encoder's weights and of the photographs they learned from.
The code, APC Search, is under Apache-2.0."""
