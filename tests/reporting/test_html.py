"""The page as HTML: one file that needs nothing beside it, and runs nothing."""

import base64
import hashlib
import re
from pathlib import Path

import pytest
from report_rows import page
from search_rows import joint_rows
from tags import Tags

from apc.reporting import html


def test_the_html_page_needs_nothing_beside_it_and_has_a_table_of_contents(tmp_path: Path) -> None:
    page(tmp_path, "search_joint", joint_rows())
    text = (tmp_path / "ablation.html").read_text()
    assert text.count("<img ") == 1 == text.count('src="data:image/svg+xml;base64,')  # as SVG; a large one is a link
    assert "http" not in text.replace("http-equiv", "")
    assert '<li><a href="#not-run-yet">Not run yet</a></li>' in text and '<h2 id="not-run-yet">Not run yet</h2>' in text
    assert 'href="#d-search_joint.pocket-runs">' in text and '<h4 id="d-search_joint.pocket-runs">Runs</h4>' in text
    assert 'href="details/' not in text and text.count('<details id="d-') == 5
    assert text.count("<table>") == text.count("</table>") > 3 and "<details>" in text and "**" not in text


def test_a_browser_is_told_to_run_no_script_but_the_pages_own_and_to_load_nothing(tmp_path: Path) -> None:
    text = html.page("# Title", tmp_path)
    policy = text.split('<meta http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
    assert text.index("Content-Security-Policy") < text.index("<style>")
    assert "default-src 'none'" in policy and "img-src data:" in policy
    script = text.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.split("script-src ")[1] == f"'sha256-{digest}'" and text.count("<script") == 1


@pytest.mark.parametrize(
    "markdown",
    [
        "<script>alert(1)</script>",
        "a <img src=x onerror=alert(1)> b",
        "<details open ontoggle=alert(1)>x</details>",
        "<sub onclick=alert(1)>x</sub>",
        "</main><svg/onload=alert(1)>",
        "<!-- <script> -->\n<iframe src=//there></iframe>",
        "<style>@import url(//there)</style>",
        "| a |\n|---|\n| <b onmouseover=alert(1)>x</b> |",
        "## <script>alert(1)</script>",
        "# </title><script>alert(1)</script>",
        "<javascript:alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt&#58;alert(1))",
        "![x](data:image/svg+xml;base64,AAAA)",
        "![x](//there/a.png)",
        "[x](http://there)",
        "[x]: http://there\n\n[x]",
        "![x](../secret.png)",
        "![x](%2e%2e/secret.png)",
    ],
)
def test_no_tag_attribute_or_link_of_others_gets_into_the_page(markdown: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "reports").mkdir()
    made = Tags(html.page(f"## Own\n\n{markdown}", tmp_path / "reports"))
    own = {"html", "head", "meta", "title", "style", "body", "nav", "ul", "li", "a", "main", "script", "h1", "h2", "p"}
    assert made.names <= own | {"details", "summary", "sub", "div", "table", "thead", "tbody", "tr", "th", "td"}
    assert made.attributes <= {"lang", "charset", "name", "content", "http-equiv", "href", "id", "class", "style"}
    assert all(re.fullmatch(r"#[\w-]+", link) for link in made.links)


def test_what_is_no_tag_of_ours_is_shown_as_text(tmp_path: Path) -> None:
    text = html.page("<details><summary>More</summary>\n\n<b>x</b> <sub>small</sub>\n\n</details>", tmp_path)
    assert "<details><summary>More</summary>" in text and "<sub>small</sub>" in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text


def test_a_picture_below_the_page_is_put_into_it_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/äpfel & birnen.png").write_bytes(b"png")
    text = html.page("![two](<figures/äpfel & birnen.png>)", tmp_path)
    assert 'src="data:image/png;base64,cG5n" alt="two"' in text


def test_documents_are_folded_behind_the_page_and_a_picture_that_comes_again_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/a.png").write_bytes(b"png")
    picture = "![one](figures/a.png)"
    link = "[46.4](details/t.pocket.md#runs) [all](details/t.pocket.md) [other](details/gone.md)"
    told = {"t.pocket": ["# Table 7", "### pocket", picture, "#### Runs", "- seed 0"]}
    text = html.page(f"## Own\n\n{picture}\n\n{link}", tmp_path, told)
    assert '<a href="#d-t.pocket-runs">46.4</a> <a href="#d-t.pocket">all</a>' in text
    assert '<a href="details/gone.md">other</a>' in text  # which is no document of this page
    assert text.count("data:image/png") == 1 and '<a href="#f1">one</a>' in text
    fold = text.split('<details id="d-t.pocket">')[1]
    assert "<summary>Table 7 · pocket</summary>" in fold and '<h4 id="d-t.pocket-runs">Runs</h4>' in fold
