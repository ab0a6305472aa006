"""`apc data prepare`: every file of a data set looked at, and what prepared.py reads written down."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import NamedTuple, TypeVar

from apc.data.images import Reading, Undecodable, decode
from apc.data.masks import read_mask, values_in
from apc.data.prepared import NOTES, VERSION, Entry, folder_of
from apc.escaping import are, counted
from apc.files import hash_of, sweep, write_atomically
from apc.parallel import each

Job = TypeVar("Job")


class BadFiles(ValueError):
    """Files that cannot be used; `problems` has a sentence for each, and `remedy` says what helps against all."""

    def __init__(self, problems: list[str], remedy: str = "") -> None:
        self.problems, self.remedy = problems, remedy
        named = f"{len(problems)} things are wrong with the data; the first {min(len(problems), 10)} are named above"
        super().__init__((problems[0] if len(problems) == 1 else named) + (f"; {remedy}" if remedy else ""))


def attempt(
    jobs: list[Job], make: Callable[[Job], Entry], label: str, *, skip_broken: bool = False
) -> tuple[list[Entry], list[str]]:
    """An Entry of every job, over all cores; BadFiles with a sentence for each job that raised ValueError.

    With `skip_broken` photographs that cannot be decoded are left out, and their sentences are handed back.
    """

    def caught(job: Job) -> Entry | ValueError:
        try:
            return make(job)
        except ValueError as error:
            return error

    results = each(jobs, caught, label)
    errors = [result for result in results if isinstance(result, ValueError)]
    skipped = [str(error) for error in errors if skip_broken and isinstance(error, Undecodable)]
    entries = [result for result in results if isinstance(result, Entry)]
    if len(skipped) < len(errors) or not entries:
        raise BadFiles([str(error) for error in errors])
    return entries, skipped


def left_out(skipped: list[str]) -> list[str]:
    """Notes on photographs that were left out: how many, and the first ten by name."""
    if not skipped:
        return []
    more = [f"  and {len(skipped) - 10} more"] if len(skipped) > 10 else []
    head = f"note: {counted(len(skipped), 'photograph')} cannot be decoded and {are(len(skipped))} left out"
    return [head, *(f"  {sentence}" for sentence in skipped[:10]), *more]


class Sample(NamedTuple):
    """What a data set says of an image before its files are read."""

    image: str
    """Photograph, a path below ROOT."""
    mask: Path
    labels: set[str]
    """Classes that are annotated as objects."""
    subsets: Callable[[tuple[int, ...], list[int]], list[str]]
    """Names the parts of the list it belongs to, from its size (H,W) and the numbers that occur in its mask."""


def entry_of(root: Path, classes: list[str], sample: Sample, how: Reading) -> Entry:
    """An Entry from its files, which are decoded to their end; ValueError where one cannot be used."""
    image, mask, labels, subsets = sample
    size = decode(root / image, how).shape[:2]
    data = (root / image).read_bytes()
    values = values_in(read_mask(mask, size, len(classes), how.max_pixels))
    return Entry(
        image=image,
        mask=mask.relative_to(root).as_posix(),
        labels_annotations=" ".join(name for name in classes if name in labels),
        labels_masks=" ".join(classes[value] for value in values if 0 < value < len(classes)),
        subsets=" ".join(subsets(size, values)),
        image_hash=hash_of(data),
        mask_hash=hash_of(mask.read_bytes()),
        height=size[0],
        width=size[1],
        bytes=len(data),
    )


def save(
    root: Path,
    dataset: str,
    classes: list[str],
    lists: dict[str, list[Entry]],
    whole: dict[str, bool],
    notes: Sequence[str] = (),
) -> None:
    """Write notes, lists, classes and, last, the manifest, where they are others than before. `whole` tells by subset
    whether it has its published count; `notes` is what a person should know of the data, in lines."""
    where, names = folder_of(root, dataset), [f.name for f in fields(Entry)]
    sweep(where, below=True)
    texts = {}
    for split, entries in lists.items():
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(entry) for entry in entries)
        texts[where / f"{split}.csv"] = text.getvalue()
    texts[where / "classes.txt"] = "\n".join(classes) + "\n"
    write_atomically(where / NOTES, "".join(f"{note}\n" for note in notes))
    counts = {split: Counter(s for e in entries for s in e.subsets.split()) for split, entries in lists.items()}
    described = {"version": VERSION, "dataset": dataset, "whole": whole, "counts": counts}
    texts[where / "manifest.json"] = json.dumps(described, indent=1) + "\n"
    changed = [path for path, text in texts.items() if not path.is_file() or path.read_bytes() != text.encode()]
    if changed:  # what reads the lists meanwhile sees all as it was, or no manifest and so no data set
        (where / "manifest.json").unlink(missing_ok=True)
        for path in dict.fromkeys([*changed, where / "manifest.json"]):
            write_atomically(path, texts[path])
