"""The page in a browser: no sideways scrolling on desk or phone, no complaint, sorted tables, text that can be read."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser
from report_rows import a_row, pooling_rows
from search_rows import joint_rows

from apc.reporting import html
from apc.reporting.page import build
from apc.runs.rows import save_rows

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here")
SHIPPED = Path(__file__).parents[2] / "reports" / "reference"
OPEN = "document.querySelectorAll('details').forEach(fold => { fold.open = true; })"
CONTRAST = """(() => {
  const light = colour => {
    const parts = colour.match(/[0-9.]+/g).slice(0, 3).map(part => part / 255)
      .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!colour.startsWith("rgba(0, 0, 0, 0")) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = document.querySelectorAll("h1, h2, h3, h4, p, li, a, th, td, sub, code, pre, summary");
  return Math.min(...Array.from(texts, element => {
    const [low, high] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }));
})()"""
"""The least contrast of any text with what is behind it, as the WCAG have it."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports = tmp_path_factory.mktemp("browsed")
    rows = {"table7_pooling": pooling_rows(), "search_joint": joint_rows(), "n" * 80: [a_row("row" * 90, 0, 40.0)]}
    for name, own in rows.items():
        save_rows(reports / "results" / name / "pocket.jsonl", own)
    return build(reports).with_suffix(".html")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the project ships as HTML, which git does not keep, from the Markdown that it keeps."""
    details = {path.stem: path.read_text() for path in sorted((SHIPPED / "details").glob("*.md"))}
    documents = {name: text.replace("](../", "](").split("\n\n")[1:] for name, text in details.items()}
    page = tmp_path_factory.mktemp("shipped") / "ablation.html"
    page.write_text(html.page((SHIPPED / "ablation.md").read_text(), SHIPPED, documents))
    return page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("whose", ["page", "shipped"])
def test_the_page_fits_its_window_and_nothing_complains(
    browser: Browser, whose: str, width: int, request: pytest.FixtureRequest
) -> None:
    browser.show(request.getfixturevalue(whose), width)
    assert browser.value("document.documentElement.scrollWidth") <= width
    browser.value(OPEN)
    assert browser.value("document.documentElement.scrollWidth") <= width
    first = browser.value("document.querySelector('main').firstElementChild.tagName")
    assert first == "H1" and browser.value("document.querySelector('h1').getBoundingClientRect().top") < 120
    assert browser.value("Array.from(document.images).every(image => image.naturalWidth > 0)")
    assert browser.complaints == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("whose", ["page", "shipped"])
def test_all_text_stands_out_from_what_is_behind_it(
    browser: Browser, whose: str, dark: bool, request: pytest.FixtureRequest
) -> None:
    browser.show(request.getfixturevalue(whose), 1280, dark)
    browser.value(OPEN)
    assert browser.value(CONTRAST) >= 4.5


def test_a_table_is_sorted_by_the_column_whose_head_is_clicked(browser: Browser, page: Path) -> None:
    browser.show(page, 1280)
    table = "Array.from(document.querySelectorAll('h3 ~ .wide table'))[0]"
    rows = f"Array.from({table}.tBodies[0].rows, row => row.cells[0].textContent)"
    click = f"{table}.tHead.rows[0].cells[2].click()"
    browser.value(click)
    assert browser.value(rows) == ["average pooling", "max pooling", "adaptive-K pooling", "top-K pooling"]
    browser.value(click)
    assert browser.value(rows) == ["top-K pooling", "adaptive-K pooling", "max pooling", "average pooling"]


def test_a_score_leads_to_its_runs_with_their_commits(browser: Browser, page: Path) -> None:
    browser.show(page, 1280)
    browser.value("document.querySelector('td a').click()")
    browser.value("new Promise(done => setTimeout(done, 50))")
    opened = browser.value("Array.from(document.querySelectorAll('main > details[open]'), fold => fold.id)")
    assert opened == ["d-table7_pooling.pocket"]
    assert "c0ffee1" in browser.value("document.querySelector('main > details[open]').textContent")
