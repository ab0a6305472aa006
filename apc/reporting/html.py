"""The page as one HTML file that needs nothing else: pictures inside, a table of contents, no network, no script."""

import base64
import html
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

OWN_TAGS = re.compile(r"</?(?:details|summary|sub)>")
"""The HTML that the page's Markdown may hold; any other is shown as the text it is."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What a browser may load and run for the page: the pictures inside it and its styles, no script, nothing from outside.
Styles are 'unsafe-inline' for the alignment of cells."""
STYLE = """\
:root { color-scheme: light; --line: #d0d7de; --soft: #f6f8fa; --text: #1f2328; --link: #0550ae; }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: var(--text); }
nav { position: fixed; top: 0; bottom: 0; width: 17rem; overflow: auto; padding: 1rem; font-size: 0.86rem;
      background: var(--soft); border-right: 1px solid var(--line); }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li { margin: 0.25rem 0; line-height: 1.3; }
nav li.deep { padding-left: 1rem; }
main { margin-left: 17rem; padding: 1rem 2.5rem 5rem; max-width: 76rem; }
p, li { max-width: 50rem; overflow-wrap: anywhere; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
h2 { margin-top: 3rem; padding-bottom: 0.3rem; border-bottom: 1px solid var(--line); }
h3 { margin-top: 2rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.82rem; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid var(--line); padding: 0.3rem 0.55rem; vertical-align: top; }
th { background: var(--soft); white-space: nowrap; }
td { white-space: nowrap; }
td:first-child, td:last-child { white-space: normal; min-width: 6rem; max-width: 26rem; }
img { max-width: 100%; height: auto; }
sub { display: block; font-size: 0.8rem; color: #57606a; vertical-align: baseline; max-width: 50rem; }
blockquote { margin: 1rem 0; padding: 0.2rem 1rem; border-left: 4px solid #d4a72c; background: #fff8e5;
             max-width: 50rem; }
blockquote p { margin: 0.3rem 0; }
pre { padding: 0.7rem 1rem; background: var(--soft); border: 1px solid var(--line); overflow-x: auto; }
code { font-family: ui-monospace, Consolas, monospace; font-size: 0.88em; }
details { margin: 0.8rem 0; }
summary { cursor: pointer; color: var(--link); }
@media (max-width: 60rem) { nav { position: static; width: auto; } main { margin: 0; padding: 1rem; } }
@media print { nav { display: none; } main { margin: 0; } }
"""


def page(markdown: str, folder: Path) -> str:
    """GitHub-flavoured Markdown as a whole HTML page; pictures of `folder` go into it, links to other files stay."""
    body = _rendered(markdown)
    body = re.sub(r'<img src="([^"]+)"', lambda image: f'<img src="{_inside(folder, image[1])}"', body)
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    body, contents = _anchored(body)
    title = html.escape(next((line[2:] for line in markdown.splitlines() if line.startswith("# ")), "Report"))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>\n{STYLE}</style>\n</head>\n'
        f"<body>\n<nav>\n<ul>\n{contents}</ul>\n</nav>\n<main>\n{body}</main>\n</body>\n</html>\n"
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


def _inside(folder: Path, link: str) -> str:
    """A picture as a data URI; the link as it stands where there is no such file."""
    path = folder / unquote(html.unescape(link))
    if path.suffix != ".png" or not path.is_file():
        return link
    return f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _anchored(body: str) -> tuple[str, str]:
    """Headings of levels 2 and 3 with anchors, and the list that leads to them."""
    entries: list[str] = []

    def anchor(heading: re.Match[str]) -> str:
        level, text = heading[1], heading[2]
        name = f"s{len(entries) + 1}"
        kind = ' class="deep"' if level == "3" else ""
        entries.append(f'<li{kind}><a href="#{name}">{re.sub("<[^>]+>", "", text)}</a></li>\n')
        return f'<h{level} id="{name}">{text}</h{level}>'

    return re.sub(r"<h([23])>(.*?)</h\1>", anchor, body), "".join(entries)
