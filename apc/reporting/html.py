"""The page as one HTML file: its figures and all details inside, a table of contents, no network.

It can be read without anything beside it; large figures of the details, files of tables and PDFs are links to theirs.
Its one script sorts tables and opens the fold that a link leads to; without it everything can be read as well.
"""

import base64
import hashlib
import html
import io
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from apc.reporting.names import anchor_of

OWN_TAGS = re.compile(r"</?(?:details|summary|sub)>")
"""The HTML that the page's Markdown may hold; any other is shown as the text it is."""
STYLE, SCRIPT = ((files("apc.reporting") / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    f"script-src 'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"
)
"""What a browser may load and run for the page: the pictures inside it, its styles and the one script that has this
digest, nothing from outside. Styles are 'unsafe-inline' for the alignment of cells."""
LARGEST = 100_000
"""Bytes of a PNG above which it goes in smaller: a picture of photographs, which has no lines to lose."""
LARGEST_FOLDED = 12_000
"""Characters of a picture above which a fold has a link to its file instead, so that the whole page stays below two
megabytes."""


def page(markdown: str, folder: Path, documents: Mapping[str, Sequence[str]] | None = None) -> str:
    """GitHub-flavoured Markdown as a whole HTML page; `documents` (name -> paragraphs) go in behind it, folded.

    Pictures of `folder` go into it, each once and large ones of folds not at all. Links to documents lead to their
    folds; those to files stay.
    """
    documents = documents or {}
    seen: dict[str, str] = {}
    body, contents = _anchored(_rendered(markdown))
    body = _pictured(body, folder, seen)
    folds = "".join(_fold(name, paragraphs) for name, paragraphs in documents.items())
    folds = _pictured(folds, folder, seen, folded=True)
    if folds:
        contents += '<li><a href="#details">Details</a></li>\n'
        body += f'<h2 id="details">Details</h2>\n{folds}'
    body = _linked(body, documents)
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    title = html.escape(next((line[2:] for line in markdown.splitlines() if line.startswith("# ")), "Report"))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>\n{STYLE}</style>\n</head>\n'
        f'<body>\n<a class="skip" href="#contents">Contents</a>\n<main>\n{body}</main>\n'
        f'<nav id="contents">\n<ul>\n{contents}</ul>\n</nav>\n<script>{SCRIPT}</script>\n</body>\n</html>\n'
    )


def _rendered(markdown: str) -> str:
    """The Markdown's HTML: tags other than OWN_TAGS are text, and links lead to files beside the page only."""
    from markdown_it import MarkdownIt

    def own_tags(tokens: list[Any], index: int, *_: object) -> str:
        text = tokens[index].content
        others = [html.escape(part, quote=False) for part in OWN_TAGS.split(text)]
        return "".join(part for pair in zip(others, [*OWN_TAGS.findall(text), ""], strict=True) for part in pair)

    parser: Any = MarkdownIt("commonmark", {"html": True}).enable("table")
    parser.validateLink = _leads_beside
    parser.renderer.rules |= {"html_block": own_tags, "html_inline": own_tags}
    return str(parser.render(markdown))


def _leads_beside(link: str) -> bool:
    """Whether a link leads to a file below the page's folder: it has no scheme, no host and no way up."""
    path = unquote(link)
    return not (":" in path or "\\" in path or path.startswith("/") or ".." in path.split("/"))


def _fold(name: str, paragraphs: Sequence[str]) -> str:
    """A document as a fold under its own title."""
    heading, *others = paragraphs
    title = re.sub(r"</?(?:h\d|p)>", "", _rendered(heading).strip())
    told = re.search(r"<h2>(.*?)</h2>|<h3>(.*?)</h3>", body := _rendered("\n\n".join(others)))
    of = f" · {told[1] or told[2]}" if told and told[2] else ""
    body = body.replace("<h4>Runs</h4>", f'<h4 id="d-{name}-runs">Runs</h4>', 1)
    return f'<details id="d-{html.escape(name)}">\n<summary>{title}{of}</summary>\n{body}</details>\n'


def _linked(body: str, documents: Mapping[str, Sequence[str]]) -> str:
    """Links to documents lead to their folds."""

    def fold(link: re.Match[str]) -> str:
        name, runs = unquote(html.unescape(link[1])), link[2] or ""
        return f'href="#d-{html.escape(name)}{"-runs" * bool(runs)}"' if name in documents else link[0]

    return re.sub(r'href="details/([^"#]+)\.md(#runs)?"', fold, body)


def _pictured(body: str, folder: Path, seen: dict[str, str], *, folded: bool = False) -> str:
    """Pictures as data inside the page; one that comes again is a link to its first place, which `seen` holds, and a
    `folded` one that is too large a link to its file."""

    def picture(image: re.Match[str]) -> str:
        link, alt = image[1], image[2]
        if link in seen:
            return f'<a href="#{seen[link]}">{alt or "the figure"}</a>'
        data = _inside(folder, link)
        if folded and len(data) > LARGEST_FOLDED:
            return f'<a href="{link}">{alt or "the figure"}</a>'
        seen[link] = f"f{len(seen) + 1}"
        return f'<img id="{seen[link]}" src="{data}" alt="{alt}" />'

    return re.sub(r'<img src="([^"]+)" alt="([^"]*)" />', picture, body)


def _inside(folder: Path, link: str) -> str:
    """A picture as a data URI, as SVG where there is one; the link as it stands where there is no such file."""
    path = folder / unquote(html.unescape(link))
    if path.suffix != ".png" or not path.is_file():
        return link
    vectors = path.with_suffix(".svg")
    if vectors.is_file():
        return _data("svg+xml", vectors.read_bytes())
    encoded = path.read_bytes()
    return _data("png", encoded) if len(encoded) <= LARGEST else _data("webp", _smaller(encoded))


def _smaller(png: bytes) -> bytes:
    from PIL import Image

    encoded = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(encoded, format="WEBP", quality=60)
    return encoded.getvalue()


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _anchored(body: str) -> tuple[str, str]:
    """Headings of levels 2 and 3 with anchors, and the list that leads to those of level 2."""
    entries: list[str] = []
    used = {"details", "contents", ""}

    def anchor(heading: re.Match[str]) -> str:
        text = re.sub("<[^>]+>", "", heading[1])
        name = own = anchor_of(html.unescape(text))
        while name in used:
            name = f"{own}-{len(used)}"
        used.add(name)
        entries.append(f'<li><a href="#{name}">{text}</a></li>\n')
        return f'<h2 id="{name}">{heading[1]}</h2>'

    return re.sub(r"<h2>(.*?)</h2>", anchor, body), "".join(entries)
