"""`examples/quickstart.ipynb`: it runs from top to bottom, and what it keeps can be shown to anybody.

After a change: `jupyter execute --inplace examples/quickstart.ipynb`, in a copy of the folder without `runs/`.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "quickstart.ipynb"
SHORTER = {
    "EPOCHS, SEARCH_EPOCHS, IMAGES = 6, 3, 960": "EPOCHS, SEARCH_EPOCHS, IMAGES = 2, 1, 32",
    "num_train=IMAGES": 'num_train=IMAGES, num_val=8, weights=""',
}


def outputs(cells: list[Any]) -> list[Any]:
    """Outputs of all code cells."""
    return [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]


def figures(cells: list[Any]) -> list[bytes]:
    """The PNG files among them."""
    return [base64.b64decode(o["data"]["image/png"]) for o in outputs(cells) if "image/png" in o.get("data", {})]


def text_of(cell: Any) -> str:
    """What a cell shows at its end, as plain text."""
    data = cell["outputs"][-1]["data"]["text/plain"]
    return data if isinstance(data, str) else "".join(data)


@pytest.mark.slow
def test_the_quickstart_runs_from_top_to_bottom(tmp_path: Path) -> None:
    """With few epochs on few pictures."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for of_the_page, short in SHORTER.items():
        (cell,) = [cell for cell in notebook.cells if of_the_page in cell.source]
        cell.source = cell.source.replace(of_the_page, short)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    assert len(figures(notebook.cells)) == 2
    assert len(list(tmp_path.glob("predictions/masks/val_*.png"))) == 4
    assert (tmp_path / "runs" / "quickstart.journal").is_file()
    assert len(text_of(notebook.cells[-1]).splitlines()) == 1 + 5  # a run of two epochs, four trials of one


def test_the_quickstart_keeps_what_it_showed() -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell["outputs"] for cell in cells[1:])
    kinds = {output["output_type"] for output in outputs(cells)}
    assert kinds == {"execute_result", "display_data", "stream"}
    assert {output["name"] for output in outputs(cells) if output["output_type"] == "stream"} == {"stdout"}
    pictures = figures(cells)
    assert len(pictures) == 2 and all(1_000 < len(picture) < 150_000 for picture in pictures)


def test_the_quickstart_names_no_path_of_a_machine() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    for output in outputs(cells):
        output.get("data", {}).pop("image/png", None)  # letters there mean nothing
    assert not re.search(
        r"(?<![\w.<])/(home|tmp|root|usr|work|Users|var|opt)\b|site-packages|[A-Z]:\\\\", json.dumps(cells)
    )
