"""The committed page, tables and figures come out of the committed rows again, so that no change of code alters them
unseen.

Where a change is meant, `apc report reports/reference` writes the new files, and git shows what is different. A drawing
that is meant to change needs `STYLE_VERSION` in apc/reporting/figures/style.py raised as well.
"""

import itertools
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from apc.reporting.catalogue import pictures
from apc.reporting.page import build

REPOSITORY = Path(__file__).parents[2]
REPORTS = REPOSITORY / "reports" / "reference"
DRAWN_BY = ("matplotlib", "fonttools", "numpy", "contourpy")
"""Packages that have a part in the pixels of a figure or the bytes of its PDF."""


def recorded(package: str) -> str:
    """Version of a package with which the committed figures were drawn."""
    return dict(re.findall(r"^(\S+)==(\S+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE))[package]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def assert_same(made: dict[str, bytes], committed: dict[str, bytes]) -> None:
    """Names and bytes; told by name, since two files of a megabyte say nothing as a difference."""
    assert made.keys() == committed.keys()
    assert [name for name in made if made[name] != committed[name]] == []


def assert_same_page(reports: Path) -> None:
    made, committed = ((folder / "ablation.md").read_text().splitlines() for folder in (reports, REPORTS))
    assert [pair for pair in zip(made, committed, strict=False) if pair[0] != pair[1]][:3] == []
    assert_same(contents(reports / "tables"), contents(REPORTS / "tables"))
    assert_same(contents(reports / "details"), contents(REPORTS / "details"))
    assert (reports / "ablation.md").read_bytes() == (REPORTS / "ablation.md").read_bytes()


def test_page_and_tables_are_those_of_the_committed_rows_and_no_figure_waits_to_be_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matplotlib.__version__", recorded("matplotlib"))  # with another, all figures would be drawn
    for folder in ("results", "figures"):
        shutil.copytree(REPORTS / folder, tmp_path / "reference" / folder)

    build(tmp_path / "reference")

    assert_same_page(tmp_path / "reference")
    assert_same(contents(tmp_path / "reference/figures"), contents(REPORTS / "figures"))
    assert (tmp_path / "reference/ablation.html").stat().st_size < 2_000_000


LEFT_OUT = b"left out"
"""What stands in a PDF that is not drawn."""


@contextmanager
def every_fifth_pdf() -> Iterator[None]:
    """Draw a fifth of the PDFs: each is the picture of a PNG and mostly of an SVG, of which all are drawn."""
    numbers, whole = itertools.count(), Figure.savefig

    def savefig(figure: Figure, file: BinaryIO, **how: Any) -> None:
        if how["format"] == "pdf" and next(numbers) % 5:
            file.write(LEFT_OUT)
        else:
            whole(figure, file, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield


@pytest.mark.slow
def test_page_and_figures_made_from_nothing_are_the_committed_ones(tmp_path: Path) -> None:
    here = {package: f"{version(package)}, not {recorded(package)}" for package in DRAWN_BY}
    if other := {package: said for package, said in here.items() if version(package) != recorded(package)}:
        pytest.skip(f"the committed figures were drawn with other versions than those installed: {other}")
    made_here = tmp_path / "reference"  # by its name it is what the project ships, and no user's
    shutil.copytree(REPORTS / "results", made_here / "results")
    (made_here / "figures").mkdir()
    for name in pictures():  # drawn by their experiments from networks, not from rows
        for path in (REPORTS / "figures").glob(f"{name}.*"):
            shutil.copy(path, made_here / "figures")

    with every_fifth_pdf():
        build(made_here)

    assert_same_page(made_here)
    made, committed = contents(made_here / "figures"), contents(REPORTS / "figures")
    assert made.keys() == committed.keys() and len(made) > len(pictures())
    drawn = [name for name in made if name.endswith((".pdf", ".svg")) and made[name] != LEFT_OUT]
    assert len([name for name in drawn if name.endswith(".pdf")]) > len(pictures()) + 10
    assert [name for name in drawn if made[name] != committed[name]] == []
    pngs = [name for name in made if name.endswith(".png")]
    assert [name for name in pngs if not same_pixels(made_here / "figures" / name, REPORTS / "figures" / name)] == []


def same_pixels(first: Path, second: Path) -> bool:
    with Image.open(first) as one, Image.open(second) as other:
        return one.mode == other.mode and np.array_equal(np.asarray(one), np.asarray(other))
