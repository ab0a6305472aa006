"""Pages hang together: links, pictures, kinds of blocks, length."""

import re
from pathlib import Path

import pytest
from pages import PAGES, ROOT, blocks, split

import apc
from apc.training.run import identity

TEXTS = sorted(PAGES)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def links(page: Path) -> list[str]:
    """Targets of a page's links and pictures that lie in the repository, without what stands in blocks."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [target.partition("#")[0] for target in LINK.findall(text) if "://" not in target and target[0] != "#"]


def test_two_commands_of_one_line_are_two_and_comments_are_none() -> None:
    text = "pip install -e '.[test]' && pytest   # the tests\n\nray dashboard cluster.yaml &\nexport A=b\n"
    assert split(text) == [
        ["pip", "install", "-e", ".[test]"],
        ["pytest"],
        ["ray", "dashboard", "cluster.yaml"],
        ["export", "A=b"],
    ]


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_to_a_file(name: str) -> None:
    page = PAGES[name]
    assert [target for target in links(page) if not (page.parent / target).exists()] == []


def test_every_page_is_reached_from_the_index_of_the_documentation() -> None:
    index = ROOT / "docs" / "README.md"
    reached = {(index.parent / target).resolve() for target in links(index)}
    assert {p for p in PAGES.values() if p.parent != ROOT and p != index} <= reached


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 180


@pytest.mark.parametrize("name", TEXTS)
def test_a_block_is_a_command_python_or_text_and_seen_output_is_called_a_sample(name: str) -> None:
    for block in blocks(PAGES[name]):
        assert block.language in ("sh", "python", "text"), block
        if re.search(r"^\$ ", block.text, re.M):
            assert block.language == "text" and block.before.startswith("Sample output"), block


@pytest.mark.parametrize("name", TEXTS)
def test_python_on_a_page_is_python_and_asks_apc_for_what_it_has(name: str) -> None:
    for number, block in enumerate(b for b in blocks(PAGES[name]) if b.language == "python"):
        compile(block.text, f"{name}, block {number}", "exec")
        assert set(re.findall(r"\bapc\.(\w+)\(", block.text)) <= {*apc.__all__}


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_of_the_code_that_a_page_names_is_there(name: str) -> None:
    named = re.findall(r"`((?:apc|benchmarks|cluster|search_spaces|tests)/[\w/.]+)`", PAGES[name].read_text("utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_the_run_that_a_page_names_is_that_of_the_paper_s_setting_of_today(name: str) -> None:
    named = set(re.findall(r"runs/([0-9a-f]{12})", (ROOT / name).read_text()))
    assert named == {identity(apc.pocket())}
