"""Where the numbers of a section come from, and which runs are in none of them."""

from collections import Counter
from collections.abc import Collection, Iterable

from apc.config import Config, to_dict
from apc.escaping import as_code, in_markdown
from apc.reporting import tables
from apc.reporting.groups import Group
from apc.runs.compared import how_compared
from apc.runs.rows import Row

SELECTION = {
    "val": "`val`: settings are chosen by the validation masks that are also reported, as in the paper; "
    "the score of a chosen setting is optimistic.",
    "half": "`half`: settings are chosen on one half of the validation images and reported on the other.",
    "labels": "`labels`: settings are chosen by image labels alone; masks are opened to report only.",
    "vote": "`vote`: settings are chosen by what the others say of their masks, weighted by image labels alone; the "
    "true masks are opened to report only.",
}
"""Selection rule, as rows are stamped -> what it means."""
METHOD = ("pooling", "k", "theta", "lambda1", "lambda2", "epsilon")
"""Knobs whose values are named even at their defaults."""
KNOWN = {
    "pocket": "a drawn miniature of VOC: small pictures of invented things, with a tiny ViT that was pre-trained on "
    "other drawn pictures in place of ImageNet. Its training schedule was tuned on validation pictures of seeds 0 to "
    "5, so only `test_miou` is untouched by tuning: its pictures were never looked at for it",
    "voc-animals": "photographs of PASCAL VOC 2012 that show at least one of six classes; things of its other classes "
    "are not scored",
    "voc": "PASCAL VOC 2012",
    "coco": "MS COCO 2014",
}
"""What data sets that anyone can have are."""


IN_SHORT = {
    "pocket": "drawn miniature of VOC and ViT",
    "voc-animals": "VOC photographs of six classes",
    "voc": "VOC 2012",
    "coco": "COCO 2014",
}
"""The same in a few words."""


def about_data(dataset: str, rows: Collection[Row]) -> str:
    """What a data set is, in words; sizes and classes are those of the rows."""
    what = KNOWN.get(dataset, "a folder of own photographs")
    sizes: dict[str, list[int]] = {}
    for row in rows:
        images = row.stamp.get("images")
        for split, number in images.items() if isinstance(images, dict) else ():
            sizes.setdefault(split, []).append(number)
    names = {"train": "for training", "val": "for validation", "test": "for testing"}
    parts = [f"{' or '.join(map(str, sorted(set(n))))} {names.get(split, split)}" for split, n in sizes.items()]
    classes = next((row.classes[1:] for row in rows if len(row.classes) > 1), [])
    few = f" ({in_markdown(', '.join(classes))})" if len(classes) <= 10 else ""
    of = f"; {len(classes)} classes{few} and the background" if classes else ""
    return f"*{in_markdown(dataset)}* is {what}." + (f" Images: {in_markdown(', '.join(parts))}{of}." if parts else "")


def schedule(rows: Collection[Row]) -> str:
    """Epochs, training images and encoder of some rows, in words."""

    def listed(values: Iterable[object]) -> str:
        return " or ".join(dict.fromkeys(map(in_markdown, values)))

    epochs = sorted({row.config.get("epochs", 0) for row in rows})
    images = [row.stamp["images"].get("train") for row in rows if isinstance(row.stamp.get("images"), dict)]
    weights = [name for row in rows if (name := row.stamp.get("weights_name"))]
    return (
        f"{listed(epochs)} epoch{'s' * (epochs != [1])}, "
        f"{listed(images) or 'an unknown number of'} training images, encoder "
        + " or ".join(dict.fromkeys(as_code(row.config.get("encoder")) for row in rows))
        + (
            f" with the weights {' or '.join(dict.fromkeys(map(as_code, weights)))}"
            if weights
            else ", its weights not named"
        )
    )


def in_brief(rows: Collection[Row]) -> str:
    """What most rows have in common: "10 epochs, 960 images of 8 classes, encoder pocket, scored on 256
    images"."""

    def usual(values: Iterable[object]) -> str:
        counts = Counter(in_markdown(value) for value in values if value is not None)
        return counts.most_common(1)[0][0] if counts else "?"

    images = [found for row in rows if isinstance(found := row.stamp.get("images"), dict)]
    return (
        f"{usual(row.config.get('epochs') for row in rows)} epochs, {usual(i.get('train') for i in images)} images of "
        f"{usual(len(row.classes) - 1 for row in rows if row.classes)} classes, encoder "
        f"{usual(row.config.get('encoder') for row in rows)}, scored on "
        f"{usual(i.get('val') for i in images)} images"
    )


def provenance(group: Group, knobs: Collection[str]) -> list[str]:
    """Where the numbers come from, and the run ids folded away; `knobs` are the Config fields that the table varies."""
    seeds = sorted({row.config.get("seed", 0) for row in group.rows})
    hours = sum(row.seconds.get("train", 0.0) for row in group.rows if "@" not in row.run) / 3600
    first = group.rows[0].stamp.get("images")
    images = (
        ", ".join(f"{in_markdown(n)} {in_markdown(split)}" for split, n in first.items())
        if isinstance(first, dict)
        else "not stamped"
    )
    lines = [
        f"runs: {len(group.rows)}, seeds {', '.join(map(str, seeds))}, {hours:.1f} hours of training in all"
        + _finished(group),
        f"settings held: {_held(group, knobs)}",
        f"{_stamped(group, 'data', 'data fingerprint:', code=True)}; images: {images}; "
        + _stamped(group, "weights", "encoder weights:", code=True),
        f"selection rule: {_selection(group)}",
        f"{_stamped(group, 'protocol', 'protocol:')} (version of what training and scoring compute); `miou` is of the "
        "decoder at one scale, without image labels and without CRF",
        "; ".join(
            _stamped(group, key, f"{key}:")
            for key in ("machine", "device", "threads", "processes")
            if any(row.stamp.get(key) for row in group.rows)
        ),
        "; ".join(
            [
                _stamped(group, "commit", "commit:", code=True),
                *(_stamped(group, key, key) for key in ("python", "torch", "timm", "ray")),
            ]
        ),
        *_measured_afterwards(group),
    ]
    return ["#### Runs", "\n".join(f"- {line}" for line in lines), _run_ids(group)]


def _stamped(group: Group, key: str, name: str, *, code: bool = False) -> str:
    """Every value of a stamp in the rows, after its name."""
    values = [v or "none" for v in sorted(group.stamped(key)) if v != "not stamped"]
    return f"{name} " + (", ".join(map(as_code if code else in_markdown, values)) or "not stamped")


def _finished(group: Group) -> str:
    """First and last day on which a run was finished; empty where no row says it."""
    days = list(dict.fromkeys(sorted(str(row.stamp["time"])[:10] for row in group.rows if row.stamp.get("time"))))
    return f", finished {in_markdown(' to '.join(dict.fromkeys([days[0], days[-1]])))}" if days else ""


def _selection(group: Group) -> str:
    """What settings were chosen by, and what that means for the scores."""
    rules = " ".join(SELECTION.get(rule, f"{in_markdown(rule)}.") for rule in group.selection)
    rules = rules or "none: no run was scored by masks."
    if found := how_compared(group.rows):
        rules += f" Settings were compared by {in_markdown(found.told)}."
    if tables.measured(group, ["test_miou"]):
        rules += " The test split was not used for choosing anything; `test_miou` is free of that optimism."
    return rules


def _measured_afterwards(group: Group) -> list[str]:
    """By which commits, and on what, finished runs were measured for this table."""
    measured = {
        (by.get("commit"), by.get("device")) for row in group.rows if isinstance(by := row.stamp.get("measured"), dict)
    }
    if not measured:
        return []
    places = ", ".join(
        f"commit {as_code(commit)} on {in_markdown(device)}" for commit, device in sorted(measured, key=str)
    )
    return [f"what this table measures on the finished runs, measured afterwards: {places}"]


def _run_ids(group: Group) -> str:
    """Ids of the runs by row and seed, folded away."""
    ids = "\n".join(
        f"- {as_code(label)}: " + ", ".join(_run(row) for row in group.rows if row.row == label)
        for label in group.labels
    )
    return f"<details><summary>Run ids ({len(group.rows)})</summary>\n\n{ids}\n\n</details>"


def _run(row: Row) -> str:
    """ "seed 0 `9d2ebbb282a5` (492c46f)": a run with the commit that made it."""
    commit = str(row.stamp.get("commit", ""))[:7]
    return f"seed {row.config.get('seed', 0)} {as_code(row.run)}" + (f" ({in_markdown(commit)})" if commit else "")


def _held(group: Group, knobs: Collection[str]) -> str:
    """Config fields that all rows share: the method's own knobs in any case, others where they are not the default."""
    default = to_dict(Config())
    shared = {
        name: value
        for name, value in (default | group.rows[0].config).items()
        if all(row.config.get(name, default.get(name)) == value for row in group.rows)
    }
    main = [in_markdown(f"{name} {shared[name]}") for name in METHOD if name in shared]
    others = [
        in_markdown(f"{name} {value}")
        for name, value in shared.items()
        if name not in ("seed", "root", "weights", *METHOD, *knobs) and value != default.get(name)
    ]
    searched = ", ".join(main) or "none of the searched knobs"
    return f"{searched}; other fields that differ from the defaults of `Config`: {', '.join(others) or 'none'}"


def failures(failed: list[Row]) -> list[str]:
    """Failed runs with their reasons; nothing where there are none."""
    if not failed:
        return []
    lines = [
        f"- {as_code(row.row)}, seed {row.config.get('seed', 0)} (run {as_code(row.run)}): "
        f"{in_markdown(' '.join(row.error.split())[:300])}"
        for row in failed
    ]
    return [f"**{len(failed)} failed run{'s' * (len(failed) > 1)}, in no mean above:**\n\n" + "\n".join(lines)]


def damages(problems: list[str]) -> list[str]:
    """What could not be read, a sentence each; nothing where there is nothing."""
    return (
        ["**Damaged and left out:**\n\n" + "\n".join(f"- {in_markdown(problem)}" for problem in problems)]
        if problems
        else []
    )
