"""One page as HTML: the frame around every text, and the style sheet."""

from __future__ import annotations

import html
from typing import List, Tuple

THEMES = {
    "plain": ("#1f4e79", "#ffffff", "#1b1b1b", "#f3f5f7"),
    "warm": ("#8a3b12", "#fffaf3", "#2b1d14", "#f6ebdd"),
    "forest": ("#22543d", "#fbfdfb", "#17231c", "#e9f2ec"),
    "dark": ("#8ab4f8", "#15181c", "#e8eaed", "#20252b"),
}

_STYLE = """:root {{ --accent: {accent}; --ground: {ground}; --ink: {ink}; --soft: {soft}; }}
* {{ box-sizing: border-box; }}
html {{ font-size: 100%; scroll-behavior: smooth; }}
body {{ margin: 0; background: var(--ground); color: var(--ink); font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", sans-serif; }}
a {{ color: var(--accent); }}
a:focus-visible {{ outline: 3px solid var(--accent); outline-offset: 2px; }}
.skip {{ position: absolute; left: -999px; }}
.skip:focus {{ left: 1rem; top: 1rem; background: var(--ground); padding: 0.5rem; }}
header, footer {{ background: var(--soft); padding: 1.5rem 1rem; }}
header > *, main, footer > * {{ max-width: 44rem; margin-left: auto; margin-right: auto; }}
main {{ padding: 1rem 1rem 3rem; }}
h1, h2, h3, h4 {{ line-height: 1.25; overflow-wrap: anywhere; }}
h1 {{ margin-top: 0; }}
.tagline {{ font-size: 1.2rem; }}
nav ul {{ list-style: none; display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin: 0; padding: 0; }}
nav a[aria-current] {{ font-weight: 700; text-decoration: none; }}
img {{ max-width: 100%; height: auto; }}
figure {{ margin: 1.5rem 0; }}
pre {{ background: var(--soft); padding: 1rem; overflow-x: auto; }}
code {{ font-family: ui-monospace, monospace; font-size: 0.95em; }}
blockquote {{ border-left: 4px solid var(--accent); margin: 1rem 0; padding: 0 1rem; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border-bottom: 1px solid var(--accent); padding: 0.4rem 0.6rem; text-align: left; vertical-align: top; }}
p, li, td {{ overflow-wrap: anywhere; }}
@media (max-width: 30rem) {{ body {{ font-size: 1rem; }} }}
@media (prefers-reduced-motion: reduce) {{ html {{ scroll-behavior: auto; }} }}
"""


def style(theme: str) -> str:
    """The style sheet of a theme; it names no font or image to load."""
    accent, ground, ink, soft = THEMES[theme]
    return _STYLE.format(accent=accent, ground=ground, ink=ink, soft=soft)


def page(language: str, site: str, title: str, tagline: str, here: str, links: List[Tuple[str, str]], body: str) -> str:
    """A whole page; `links` are the (address, label) pairs of the site."""
    told = title if title == site else f"{title} \u2013 {site}"
    return f"""<!DOCTYPE html>
<html lang="{html.escape(language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="{html.escape(tagline or title)}">
<title>{html.escape(told)}</title>
<link rel="stylesheet" href="style.css">
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<header>
<h1>{html.escape(title)}</h1>
{f'<p class="tagline">{html.escape(tagline)}</p>' if tagline else ""}
{_navigation(here, links)}
</header>
<main id="content">
{body}
</main>
<footer>
<p>{html.escape(site)}</p>
</footer>
</body>
</html>
"""


def _navigation(here: str, links: List[Tuple[str, str]]) -> str:
    if len(links) < 2:
        return ""
    items = []
    for address, label in links:
        current = ' aria-current="page"' if address == here else ""
        items.append(f'<li><a href="{html.escape(address)}"{current}>{html.escape(label)}</a></li>')
    return '<nav aria-label="Pages">\n<ul>\n' + "\n".join(items) + "\n</ul>\n</nav>"
