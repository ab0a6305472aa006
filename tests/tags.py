"""A page of HTML as a browser reads it."""

from html.parser import HTMLParser


class Tags(HTMLParser):
    """Names of its elements and of their attributes, where its links and pictures lead, and what can be led to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        self.places |= {value or "" for name, value in attrs if name == "id"}
