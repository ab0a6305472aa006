"""The page as HTML: one file that needs nothing beside it."""

from pathlib import Path

from report_rows import page
from search_rows import joint_rows


def test_the_html_page_needs_nothing_beside_it_and_has_a_table_of_contents(tmp_path: Path) -> None:
    page(tmp_path, "search_joint", joint_rows())
    text = (tmp_path / "ablation.html").read_text()
    assert text.count("<img src=") == 3 == text.count('<img src="data:image/png;base64,')
    assert "http" not in text.replace("http-equiv", "") and "<script" not in text
    assert '<li><a href="#s1">How to read this</a></li>' in text and '<h2 id="s1">How to read this</h2>' in text
    assert text.count("<table>") == text.count("</table>") > 3 and "<details>" in text and "**" not in text
