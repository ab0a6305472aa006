"""Where the numbers of a section come from, and which runs are in none of them."""

from collections.abc import Collection, Iterable

from apc.config import Config, to_dict
from apc.reporting import tables
from apc.reporting.groups import Group
from apc.runs.rows import Row

SELECTION = {
    "val": "`val`: settings are chosen by the validation masks that are also reported, as in the paper; "
    "the score of a chosen setting is optimistic.",
    "half": "`half`: settings are chosen on one half of the validation images and reported on the other.",
}


METHOD = ("pooling", "k", "theta", "lambda1", "lambda2", "epsilon")
"""Knobs that are told even at their defaults."""
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


def about_data(dataset: str, rows: Collection[Row]) -> str:
    """What a data set is, in words; sizes and classes are those of the rows."""
    told = KNOWN.get(dataset, "a folder of own photographs")
    sizes: dict[str, list[int]] = {}
    for row in rows:
        images = row.stamp.get("images")
        for split, number in images.items() if isinstance(images, dict) else ():
            sizes.setdefault(split, []).append(number)
    names = {"train": "for training", "val": "for validation", "test": "for testing"}
    parts = [f"{' or '.join(map(str, sorted(set(n))))} {names.get(split, split)}" for split, n in sizes.items()]
    classes = next((row.classes[1:] for row in rows if len(row.classes) > 1), [])
    few = f" ({', '.join(classes)})" if len(classes) <= 10 else ""
    of = f"; {len(classes)} classes{few} and the background" if classes else ""
    return f"*{dataset}* is {told}." + (f" Images: {', '.join(parts)}{of}." if parts else "")


def schedule(rows: Collection[Row]) -> str:
    """Epochs, training images and encoder of some rows, in words."""

    def listed(values: Iterable[object]) -> str:
        return " or ".join(dict.fromkeys(map(str, values)))

    images = [row.stamp["images"].get("train") for row in rows if isinstance(row.stamp.get("images"), dict)]
    weights = [name for row in rows if (name := row.stamp.get("weights_name"))]
    return (
        f"{listed(sorted({row.config.get('epochs', 0) for row in rows}))} epochs, "
        f"{listed(images) or 'an unknown number of'} training images, encoder "
        + listed(f"`{row.config.get('encoder')}`" for row in rows)
        + (f" with the weights {listed(f'`{name}`' for name in weights)}" if weights else ", its weights not named")
    )


def provenance(group: Group, knobs: Collection[str]) -> list[str]:
    """Where the numbers come from, and the run ids folded away."""

    def all_of(key: str, name: str = "", code: bool = False) -> str:
        values = [v or "none" for v in sorted(group.stamped(key)) if v != "not stamped"]
        return f"{name or key} " + (", ".join(f"`{v}`" if code else v for v in values) or "not stamped")

    seeds = sorted({row.config.get("seed", 0) for row in group.rows})
    first = group.rows[0].stamp.get("images")
    images = ", ".join(f"{n} {split}" for split, n in first.items()) if isinstance(first, dict) else "not stamped"
    selection = " ".join(SELECTION.get(rule, f"{rule}.") for rule in sorted(group.stamped("selection")))
    if tables.measured(group, ["test_miou"]):
        selection += " The test split was not used for choosing anything; `test_miou` is free of that optimism."
    dates = list(dict.fromkeys(sorted(str(row.stamp["time"])[:10] for row in group.rows if row.stamp.get("time"))))
    hours = sum(row.seconds.get("train", 0.0) for row in group.rows if "@" not in row.run) / 3600
    lines = [
        f"runs: {len(group.rows)}, seeds {', '.join(map(str, seeds))}, {hours:.1f} hours of training in all"
        + (f", finished {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}" if dates else ""),
        f"settings held: {_held(group, knobs)}",
        f"{all_of('data', 'data fingerprint:', code=True)}; images: {images}; "
        + all_of("weights", "encoder weights:", code=True),
        f"selection rule: {selection}",
        f"{all_of('protocol', 'protocol:')} (version of what training and scoring compute); `miou` is of the decoder "
        "at one scale, without image labels and without CRF",
        "; ".join(
            all_of(key, f"{key}:")
            for key in ("machine", "device", "threads", "processes")
            if any(row.stamp.get(key) for row in group.rows)
        ),
        "; ".join(
            [all_of("commit", "commit:", code=True), *(all_of(key) for key in ("python", "torch", "timm", "ray"))]
        ),
    ]
    measured = {
        (by.get("commit"), by.get("device")) for row in group.rows if isinstance(by := row.stamp.get("measured"), dict)
    }
    if measured:
        told = ", ".join(f"commit `{commit}` on {device}" for commit, device in sorted(measured, key=str))
        lines.append(f"what this table measures on the finished runs, measured afterwards: {told}")
    ids = "\n".join(
        f"- `{label}`: "
        + ", ".join(f"seed {row.config.get('seed', 0)} `{row.run}`" for row in group.rows if row.row == label)
        for label in group.labels
    )
    return [
        "\n".join(f"- {line}" for line in lines),
        f"<details><summary>Run ids ({len(group.rows)})</summary>\n\n{ids}\n\n</details>",
    ]


def _held(group: Group, knobs: Collection[str]) -> str:
    """Config fields that all rows share: the method's own knobs in any case, others where they are not the default."""
    default = to_dict(Config())
    shared = {
        name: value
        for name, value in (default | group.rows[0].config).items()
        if all(row.config.get(name, default.get(name)) == value for row in group.rows)
    }
    main = [f"{name} {shared[name]}" for name in METHOD if name in shared]
    others = [
        f"{name} {value}"
        for name, value in shared.items()
        if name not in ("seed", "root", "weights", *METHOD, *knobs) and value != default.get(name)
    ]
    told = ", ".join(main) or "none of the searched knobs"
    return f"{told}; other fields that differ from the defaults of `Config`: {', '.join(others) or 'none'}"


def failures(failed: list[Row]) -> list[str]:
    if not failed:
        return []
    lines = [
        f"- `{row.row}`, seed {row.config.get('seed', 0)} (run `{row.run}`): {' '.join(row.error.split())[:300]}"
        for row in failed
    ]
    return [f"**{len(failed)} failed run{'s' * (len(failed) > 1)}, in no mean above:**\n\n" + "\n".join(lines)]


def damages(problems: list[str]) -> list[str]:
    return (
        ["**Damaged and left out:**\n\n" + "\n".join(f"- {' '.join(problem.split())}" for problem in problems)]
        if problems
        else []
    )
