"""Pages made from the code are those that the code makes now."""

import re
import runpy
from pathlib import Path

from import_graph import ROOMS
from pages import ROOT


def generated() -> dict[Path, str]:
    return runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()


def test_committed_pages_are_those_that_the_code_makes() -> None:
    stale = [p.relative_to(ROOT) for p, text in generated().items() if p.read_text(encoding="utf-8") != text]
    assert stale == [], "run `python docs/generate.py`"


def test_the_house_shows_every_module_with_a_sentence() -> None:
    lines = (ROOT / "docs" / "explanation" / "house.md").read_text(encoding="utf-8").splitlines()
    told = {words[0] for line in lines if len(words := line.split()) > 1}
    for room in ("apc", "experiments", "search_spaces"):
        for path in (ROOT / room).rglob("*.py"):
            assert path.name in told or path.stem.startswith("__"), path


def test_every_field_flag_score_and_file_has_its_line() -> None:
    made = {path.name: text for path, text in generated().items()}
    assert "| `theta` | `0.9` | number from 0 to 1 | Adaptive-K takes another patch" in made["config.md"]
    assert "| `image_size` | `384` | `96` | `256` | `384` | `384` |" in made["config.md"]
    assert "| `epochs` | `13` | `19` | `17` | `17` |" in made["config.md"]  # of `--plus` over each preset
    assert "| `miou` | % | row |  | decoder, no image labels" in made["scores.md"]
    assert "| `row.json` | " in made["run-folder.md"]
    assert "| `per_class` | IoU in percent of each class" in made["row.md"]
    assert "| `--sizes` | – | whole number, several | " in made["command-line.md"]
    assert "## `apc.train(cfg, *, runs='runs', device='auto'" in made["python.md"]
    assert "| `CHECKPOINT` | needed | path | Folder of a finished run" in made["command-line.md"]


def test_the_house_tells_the_order_of_the_rooms_that_is_tested() -> None:
    text = (ROOT / "docs" / "explanation" / "house.md").read_text(encoding="utf-8")
    (order,) = re.findall(r"From the ground up: (.+?)\.\n\n", text, re.S)
    assert [re.findall(r"`(\w+)`", floor) for floor in order.split("<")] == ROOMS
