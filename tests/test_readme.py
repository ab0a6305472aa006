"""The README against the code."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_readme_shows_every_module_there_is() -> None:
    readme = (ROOT / "README.md").read_text()
    for path in [
        *(ROOT / "apc").rglob("*.py"),
        *(ROOT / "experiments").glob("*.py"),
        *(ROOT / "search_spaces").glob("*.py"),
    ]:
        if path.name not in ("__init__.py", "__main__.py"):
            assert path.name in readme, path
