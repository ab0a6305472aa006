"""A name of others stays a name wherever it is shown."""

import pytest

from apc.escaping import as_code, as_code_block, from_csv, in_csv, in_link, in_markdown, in_tex, printable, say


def test_a_terminal_gets_no_escape_sequence_and_nothing_backwards() -> None:
    assert printable("\x1b]0;owned\x07\x1b[2Jcat\x9b31m\x7f") == "]0;owned[2Jcat31m"
    assert printable("abc\u202egpj.exe\u2066\u200f") == "abcgpj.exe"
    assert printable("done\rfailed") == "donefailed" and printable("two\nlines\tand a tab") == "two\nlines\tand a tab"
    assert printable("caf\udce9") == "caf�" and printable("gâteau – 猫 ±") == "gâteau – 猫 ±"


def test_what_is_said_holds_no_escape_sequence(capsys: pytest.CaptureFixture[str]) -> None:
    say("cat\x1b[31m")
    say("bad \x1b[2Jname", error=True)
    say("two\nlines  of a\r\nname", error=True)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("cat[31m\n", "bad [2Jname\ntwo lines  of a name\n")


@pytest.mark.parametrize(
    ("name", "markdown"),
    [
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("[click](javascript:alert(1))", r"[click\](javascript:alert(1))"),
        ("![x](http://there/a.png)", r"![x\](http://there/a.png)"),
        ("a`b*c\\d", r"a\`b\*c\\d"),
        ("two\n\n# lines", "two # lines"),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
        ("_loud_ top_k", r"\_loud\_ top_k"),
        ("+1.8 [−0.2, +3.8]", "+1.8 [−0.2, +3.8]"),
        ("R&D, lambda1=0.02", "R&D, lambda1=0.02"),
    ],
)
def test_markdown_shows_a_name_letter_by_letter(name: str, markdown: str) -> None:
    assert in_markdown(name) == markdown


def test_code_in_markdown_holds_whatever_is_in_it() -> None:
    assert as_code("top_k") == "`top_k`" and as_code("a\nb") == "`a b`"
    assert as_code("a`</code><script>`") == "`` a`</code><script>` ``"
    assert as_code("``") == "``` `` ```"
    assert as_code_block("cd x\n```\n<img src=x>") == "````\ncd x\n```\n<img src=x>\n````"
    assert in_link("results/my cats/a](javascript:b).csv") == "results/my%20cats/a%5D%28javascript%3Ab%29.csv"


@pytest.mark.parametrize(
    "name", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=", "'=1", "''-x.jpg", "＝1"]
)
def test_a_formula_is_quoted_in_a_csv_cell_and_read_back_as_it_was(name: str) -> None:
    assert in_csv(name) == f"'{name}" and from_csv(f"'{name}") == name


@pytest.mark.parametrize("cell", ["cat", "a=b", "'tis", "-0.5", "+3", "-1.5e-3", "", "theta=0.9", -0.5, None, True])
def test_numbers_and_other_names_stay_in_a_csv_cell(cell: object) -> None:
    assert in_csv(cell) is cell
    assert not isinstance(cell, str) or from_csv(cell) == cell


def test_latex_shows_its_special_characters() -> None:
    assert in_tex(r"\input{/etc/passwd} 5% #1 a_b ~^$x$&") == (
        r"\textbackslash{}input\{/etc/passwd\} 5\% \#1 a\_b \textasciitilde{}\textasciicircum{}\$x\$\&"
    )
