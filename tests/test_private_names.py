"""Tests hold what a module promises: none imports, reads or patches a name that begins with an underscore."""

from pathlib import Path

from private_names import reached

TESTS = Path(__file__).resolve().parent


def test_no_test_reaches_into_a_private_name() -> None:
    assert reached(TESTS) == []


def test_a_private_name_is_told_with_its_line_whether_it_is_imported_read_or_patched(tmp_path: Path) -> None:
    owner, hidden = "apc.data.coco", "_shape"  # apart, lest this file be told of itself
    lines = (
        f"from {owner} import {hidden}",
        f"import apc.{hidden}",
        f"coco.{hidden}()",
        f"method(1).rows[0].{hidden}",
        f"monkeypatch.setattr(coco, '{hidden}', None)",
        f"monkeypatch.setattr('{owner}.{hidden}', None)",
        "from torch import _dynamo",
        "torch._dynamo.reset()",
        "row._replace(size=1)",
        "self._rows",
        "coco.__name__",
        "state['_reverse']",
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data/test_coco.py").write_text("\n".join(lines))
    told = [f"{owner}.{hidden}", f"apc.{hidden}", f"coco.{hidden}", f"method.{hidden}", f"coco.{hidden}"]
    assert reached(tmp_path) == [
        f"data/test_coco.py, line {line}, reaches into {name}; test its public effect, or name it"
        for line, name in enumerate([*told, f"{owner}.{hidden}"], start=1)
    ]
