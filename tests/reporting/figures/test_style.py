"""Figures are drawn once: again where what they show or their style changes, not where their code moves."""

import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apc.reporting.figures.style import empty, once, points, save

DOTS = """
from apc.reporting.figures.style import empty, once, save

drawn = []

@once
def dots(trials, path):
    drawn.append(path)
    figure, (ax,) = empty(2, 2, 1, 1)
    ax.plot([trial.score for trial in trials])
    return save(figure, path)
"""


def test_a_figure_is_drawn_again_only_where_its_numbers_changed(tmp_path: Path) -> None:
    drawn = []

    @once
    def dots(values: list[float], path: Path) -> Path:
        drawn.append(values)
        figure, (ax,) = empty(2, 2, 1, 1)
        ax.plot(values)
        return save(figure, path)

    first = dots([1.0, 2.0], tmp_path / "dots").read_bytes()
    assert dots([1.0, 2.0], tmp_path / "dots").read_bytes() == first and len(drawn) == 1
    assert dots([1.0, 3.0], tmp_path / "dots").read_bytes() != first and len(drawn) == 2
    (tmp_path / "dots.pdf").unlink()
    dots([1.0, 3.0], tmp_path / "dots")
    assert len(drawn) == 3 and (tmp_path / "dots.pdf").is_file()


def test_a_figure_is_drawn_again_with_another_style_version_and_not_when_its_code_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def module(path: str, code: str) -> dict[str, Any]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(code)
        return runpy.run_path(str(tmp_path / path))

    @dataclass(frozen=True)
    class Renamed:
        score: float

    before, moved = module("before.py", DOTS), module("new/place.py", f"# Moved.\n{DOTS}")
    point = Renamed(41.0)
    first = before["dots"]([point], tmp_path / "dots").read_bytes()
    Renamed.__qualname__, Renamed.__module__ = "Point", "apc.elsewhere"
    moved["dots"]([point], tmp_path / "dots")
    assert moved["drawn"] == []
    monkeypatch.setattr("apc.reporting.figures.style.STYLE_VERSION", 0)
    assert moved["dots"]([point], tmp_path / "dots").read_bytes() != first and len(moved["drawn"]) == 1
    moved["dots"]([Renamed(42.0)], tmp_path / "dots")
    assert len(moved["drawn"]) == 2


def test_a_figure_of_what_has_no_lasting_text_is_refused(tmp_path: Path) -> None:
    @once
    def dots(value: object, path: Path) -> Path:
        return path

    with pytest.raises(TypeError, match="not JSON serializable"):
        dots(object(), tmp_path / "dots")  # its repr has an address, with which the figure would never be the same


def test_no_two_of_many_rows_look_alike() -> None:
    looks = [points(series) for series in range(24)]
    assert len({(look["color"], look["marker"]) for look in looks}) == 24
