"""A view of a search that remembers what it was told."""

from typing import Any

from apc.search.view import NoView


class Notes(NoView):
    """A view that remembers."""

    def __init__(self) -> None:
        self.starts: list[str] = []
        self.epochs: list[float] = []
        self.sentences: list[str] = []

    def started(self, run: str, name: str) -> None:
        self.starts.append(name)

    def reported(self, run: str, metrics: Any) -> None:
        self.epochs.append(metrics["epoch"])

    def told(self, sentence: str) -> None:
        self.sentences.append(sentence)
