"""One self-contained HTML page: it needs no network, and suits phones, light mode and dark mode."""

import base64
import html
from collections.abc import Sequence

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5c6470; --line: #d8dce2; --ground: #fff; --band: #f3f5f8;
        --paper: #7a5b00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --soft: #a0a8b4; --line: #363c45; --ground: #14171b; --band: #1d2127; --paper: #e3bd5c; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--ground); color: var(--ink);
       font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
figure { margin: 1rem 0; } figcaption { font-weight: 600; margin-bottom: .4rem; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .55rem; text-align: right; white-space: nowrap; border-top: 1px solid var(--line); }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--ground); }
thead th { border-top: 0; background: var(--band); white-space: normal; vertical-align: bottom; }
thead th:first-child { background: var(--band); }
tr.group th { background: var(--band); color: var(--soft); font-weight: 600; }
tr.paper td, tr.paper th { color: var(--paper); font-weight: 400; }
td small { display: block; color: var(--soft); font-size: .72rem; }
.note { color: var(--soft); font-size: .82rem; margin: .3rem 0; }
img { max-width: 100%; height: auto; }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); gap: 1rem; }
.curves img { width: 100%; }
.pictures { overflow-x: auto; } .pictures img { min-width: 40rem; border-radius: 4px; }
"""


def page(title: str, introduction: str, sections: Sequence[tuple[str, str]]) -> str:
    """The document. `sections` are (heading, HTML); title, introduction and headings are plain text."""
    body = "\n".join(
        f"<section><h2>{html.escape(heading)}</h2>\n{content}\n</section>" for heading, content in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style></head>\n"
        f"<body><h1>{html.escape(title)}</h1>\n<p>{html.escape(introduction)}</p>\n{body}\n</body></html>\n"
    )


def image(data: bytes, kind: str, description: str) -> str:
    """An `img` with its bytes inside; `kind` is a MIME subtype such as `jpeg`."""
    encoded = base64.b64encode(data).decode()
    return f'<img src="data:image/{kind};base64,{encoded}" alt="{html.escape(description)}">'


def curves(pictures: Sequence[tuple[str, str]]) -> str:
    """(description, SVG) pictures side by side if there is room."""
    images = (image(svg.encode(), "svg+xml", description) for description, svg in pictures)
    return '<div class="curves">' + "\n".join(images) + "</div>"


def pictures(jpegs: Sequence[tuple[str, bytes]]) -> str:
    """(caption, JPEG) pictures below each other, each in a wrapper that scrolls sideways on narrow screens."""
    return "\n".join(
        f'<figure><figcaption>{html.escape(caption)}</figcaption><div class="pictures">{image(data, "jpeg", caption)}'
        "</div></figure>"
        for caption, data in jpegs
    )


def missing(reason: str) -> str:
    """The placeholder of a section that has nothing to show."""
    return f'<p class="note">{html.escape(reason)}</p>'
