"""Labels, classes, runs, errors, stamps and folders named by others: none of them is HTML, a link, a formula or TeX."""

import csv
import json
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from report_rows import a_row, pooling_rows
from tags import Tags

from apc.escaping import from_csv
from apc.reporting.model_card import model_card
from apc.reporting.page import build
from apc.runs.rows import Row, save_rows

pytestmark = [
    pytest.mark.filterwarnings("ignore:Glyph 27"),  # a figure's font has no picture of ESC
    pytest.mark.filterwarnings("ignore:constrained_layout not applied"),  # nor its page room for such names
]
SCRIPT = "<script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(1)>"
LINK = "[click](javascript:alert(1))"
PICTURE = "![x](http://there/a.png)"
LEAVING = f"a` {IMAGE} `b\n\n{SCRIPT}\n\n# {LINK}"
"""What would leave code, a cell, a line and a paragraph."""
NAMES = (SCRIPT, IMAGE, LINK, PICTURE, LEAVING, r"$\foo$ \input{x}", "=cmd|' /C calc'!A0", "\x1b[31m\u202e", "| ``` |")
OWN = set("a blockquote code details div em h1 h2 h3 h4 hr img li ol p pre strong sub summary".split())
OWN |= set("table tbody td th thead tr ul body head html main meta nav script style title".split())
OWN_ATTRIBUTES = set("alt charset class content href http-equiv id lang name src start style".split())


def a_hostile_row(label: str, seed: int, **fields: object) -> Row:
    row = a_row(label, seed, 40.0 + seed + len(label) % 5, pooling="max", crf=SCRIPT, encoder=LEAVING, **fields)
    row.run = f"{seed}{label}{row.run}"
    row.classes = ["background", LEAVING]
    row.stamp |= {"machine": IMAGE, "weights_name": LEAVING, "measured": {"commit": LEAVING, "device": SCRIPT}}
    row.stamp |= {"images": {IMAGE: 3, "train": 9}, "selection": SCRIPT, "ray": LINK}
    row.stamp |= {"search": {LINK: IMAGE, "objectives": ["miou", LEAVING]}}
    return row


def a_race() -> dict[str, object]:
    gap = {"mean": 4.0, "difference": -1.0, "low": -2.0, "high": -0.5, "left": 2, "train_seconds": None}
    racers = [{"label": name, "scores": {"0": 4.0}, "why": name} | gap for name in NAMES]
    race = {"metric": LEAVING, "seeds": [0, 1], "asked": 2, "level": 0.9, "prefer": PICTURE, "winner": IMAGE}
    return race | {"racers": racers}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports whose rows, experiments and data sets bear such names in every place."""
    folder = tmp_path_factory.mktemp("reports")
    rows = [a_hostile_row(name, seed) for name in NAMES for seed in (0, 1)]
    rows += [a_hostile_row(f"failed {name}", 0, error=f"ValueError: {name}") for name in NAMES]
    rows += [a_hostile_row(name, 0, data=LEAVING, commit=SCRIPT) for name in NAMES]
    for experiment in (f"plain {IMAGE}", f"space_{IMAGE}", "table7_pooling"):
        more = pooling_rows(2) if experiment == "table7_pooling" else []
        save_rows(folder / "results" / experiment / f"cats {IMAGE} `{IMAGE}` [x](y).jsonl", [*rows, *more])
    (folder / "results" / f"plain {IMAGE}" / f"{LINK}.jsonl").write_text(f"{IMAGE}\n")
    (folder / "results" / f"space_{IMAGE}" / f"cats {IMAGE} `{IMAGE}` [x](y).trials.csv").write_text("trial\n")
    (folder / "results" / f"space_{IMAGE}" / f"cats {IMAGE} `{IMAGE}` [x](y).race.json").write_text(
        json.dumps(a_race())
    )
    build(folder)
    return folder


def test_the_html_page_has_no_element_attribute_or_link_of_theirs(reports: Path) -> None:
    page = Tags((reports / "ablation.html").read_text())
    assert page.names <= OWN and page.attributes <= OWN_ATTRIBUTES
    ours = ("figures/", "tables/", "results/", "data:image/svg+xml;base64,")
    assert [link for link in page.links if not link.startswith(ours) and link[1:] not in page.places] == []


def test_another_reader_of_the_markdown_finds_none_either(reports: Path) -> None:
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    places = Tags((reports / "ablation.html").read_text()).places
    for path in [reports / "ablation.md", *(reports / "tables").glob("*.md"), *(reports / "details").glob("*.md")]:
        page = Tags(reader.render(path.read_text()))
        assert page.names <= OWN and page.attributes <= OWN_ATTRIBUTES
        own = tuple(f"{up}{there}/" for up in ("", "../") for there in ("figures", "tables", "results", "details"))
        others = [link for link in page.links if not link.startswith((*own, "../ablation.md"))]
        assert [link for link in others if not link.startswith("#") or link[1:] not in places] == []


def test_the_names_can_be_read_on_the_page(reports: Path) -> None:
    text = (reports / "ablation.html").read_text()
    for shown in (
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&lt;img src=x onerror=alert(1)&gt;",
        "[click](javascript:alert(1))",
        "=cmd|' /C calc'!A0",
        r"$\foo$ \input{x}",
    ):
        assert shown in text
    assert "\x1b" not in text and "\u202e" not in text


def test_no_cell_of_a_table_is_a_formula_and_the_names_are_read_back(reports: Path) -> None:
    labels = set()
    for path in (reports / "tables").glob("plain*.csv"):
        with open(path, newline="") as file:
            lines = list(csv.DictReader(file))
        assert not any(line["row"].startswith(("=", "+", "-", "@", "\t")) for line in lines)
        labels |= {from_csv(line["row"]) for line in lines}
    assert labels == set(NAMES)


def test_a_table_in_latex_has_no_command_of_theirs(reports: Path) -> None:
    tables = [path.read_text() for path in (reports / "tables").glob("plain*.tex")]
    assert len(tables) > 1
    for text in tables:
        assert r"\input" not in text and r"\foo" not in text
        assert r"\$\textbackslash foo\$ \textbackslash input\{x\}" in text and text.count("\n\n") == 0


def test_a_model_card_has_no_element_or_link_of_theirs() -> None:
    row = a_hostile_row("max", 0)
    row.config |= {"root": IMAGE, "weights": LEAVING}
    card = model_card(row, f"{LEAVING}{IMAGE}", license=LINK)
    page = Tags(MarkdownIt("commonmark", {"html": True}).enable("table").render(card.split("\n---\n")[1]))
    assert page.names <= OWN and page.links == []
    assert "&lt;script>alert(1)&lt;/script>" in card
