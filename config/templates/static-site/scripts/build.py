"""Step 3: renders the site from the material and the model's words.

The model's words are text and nothing else. Where there are none, the goal
and the given texts make the site.
"""

from __future__ import annotations

import html
import os
import re
import shutil
from typing import Callable, Dict, List, Optional, Tuple

from grounded import grounded, vocabulary
from markdown import Rendered, Renderer
from material import Material, Text, read_material, rows_of
from page import page, style
from request import Request, run_step

_TITLE_CHARS = 60


def build(request: Request) -> dict:
    """The whole output of the step."""
    material = read_material(request)
    words, written = _words(request, material)
    site = request.params.get("title") or words["title"]
    rendered = _render(material)
    links = _links(material, rendered)
    pages = {"index.html": _index(material, rendered, words)}
    for text in material.texts:
        if text.page != "index.html":
            pages[text.page] = (_title(text, rendered), "", rendered[text.page].html)
    for table in material.tables:
        pages[table.page] = (_name(table.name), "", _table(table))
    os.makedirs("site/images" if material.images else "site", exist_ok=True)
    language = request.params.get("language", "en")
    for address, (title, tagline, body) in pages.items():
        shown = site if address == "index.html" else title
        _write(f"site/{address}", page(language, site, shown, tagline, address, links, body))
    _write("site/style.css", style(request.params.get("theme", "plain")))
    for path, target in material.images.values():
        shutil.copyfile(path, f"site/{target}")
    dropped = [f"{address}: {what}" for address, part in sorted(rendered.items()) for what in part.dropped]
    return {"pages": list(pages), "images": len(material.images), "words_by": written, "dropped": dropped[:100]}


# Words


def _words(request: Request, material: Material) -> Tuple[dict, str]:
    """The model's words, or what the goal gives."""
    answer = request.output("words")
    answer = answer if isinstance(answer, dict) else {}
    keep = _keeper(request, material)
    sections: List[dict] = []
    for section in answer.get("sections") or []:
        heading, text = (keep(_clean(section.get(part))) for part in ("heading", "text"))
        if _says_something(heading) and _says_something(text) and text not in [other["text"] for other in sections]:
            sections.append({"heading": heading, "text": text})
    title, tagline = keep(_clean(answer.get("title"))), keep(_clean(answer.get("tagline")))
    if _says_something(title):
        return {"title": title, "tagline": tagline if tagline != title else "", "sections": sections}, "the model"
    goal = _clean(request.goal)
    title = re.split(r"(?<=[.!?:])\s|,\s", goal)[0].rstrip(".:,")
    if len(title) > _TITLE_CHARS:
        title = title[: _TITLE_CHARS - 1].rsplit(" ", 1)[0] + "\u2026"
    return {"title": title, "tagline": goal if goal != title else "", "sections": sections}, "the goal"


def _keeper(request: Request, material: Material) -> Callable[[str], str]:
    """What is kept of a model's text: all of it, or of a small model's what the material says."""
    if not request.is_small_model():
        return str
    known = vocabulary([request.goal, *(text.text for text in [*material.texts, *material.tables])])
    return lambda text: grounded(text, known)


def _says_something(text: object) -> bool:
    return isinstance(text, str) and any(mark.isalnum() for mark in text)


def _clean(text: object) -> str:
    """One line of printable text."""
    line = " ".join(str(text or "").split())
    return "".join(mark for mark in line if mark.isprintable())


# Pages


def _render(material: Material) -> Dict[str, Rendered]:
    targets = {text.name: text.page for text in [*material.texts, *material.tables]}
    targets.update({address: address for address in [*targets.values(), "index.html"]})

    def link(address: str) -> Optional[str]:
        name, _, part = address.partition("#")
        if not name:
            return None
        return targets.get(name.removeprefix("./"))

    def image(address: str) -> Optional[str]:
        found = material.images.get(os.path.basename(address))
        return found[1] if found and "://" not in address else None

    return {text.page: Renderer(link, image).render(text.text) for text in material.texts}


def _links(material: Material, rendered: Dict[str, Rendered]) -> List[Tuple[str, str]]:
    others = [(text.page, _title(text, rendered)) for text in material.texts if text.page != "index.html"]
    return [("index.html", "Home"), *others, *((table.page, _name(table.name)) for table in material.tables)]


def _title(text: Text, rendered: Dict[str, Rendered]) -> str:
    return rendered[text.page].title or _name(text.name)


def _name(name: str) -> str:
    stem = re.sub(r"[-_]+", " ", name.rsplit(".", 1)[0]).strip()
    return (stem[:1].upper() + stem[1:])[:_TITLE_CHARS] or "Page"


def _index(material: Material, rendered: Dict[str, Rendered], words: dict) -> Tuple[str, str, str]:
    parts = []
    for section in words["sections"]:
        heading, text = html.escape(section["heading"]), html.escape(section["text"])
        parts.append(f"<section>\n<h2>{heading}</h2>\n<p>{text}</p>\n</section>")
    if "index.html" in rendered:
        parts.append(rendered["index.html"].html)
    used = "\n".join(part.html for part in rendered.values())
    for name, (_, target) in material.images.items():
        if f'src="{target}"' not in used:
            label = html.escape(_name(name))
            parts.append(
                f'<figure>\n<img src="{target}" alt="{label}" loading="lazy">\n<figcaption>{label}</figcaption>\n</figure>'
            )
    return words["title"], words["tagline"], "\n".join(part for part in parts if part) or "<p>More is to come.</p>"


def _table(table: Text) -> str:
    rows = rows_of(table)
    width = max(len(row) for row in rows)

    def cells(row: List[str], open_tag: str, close_tag: str) -> str:
        return "".join(f"{open_tag}{html.escape(cell.strip())}{close_tag}" for cell in row + [""] * (width - len(row)))

    body = "\n".join(f"<tr>{cells(row, '<td>', '</td>')}</tr>" for row in rows[1:])
    head = cells(rows[0], '<th scope="col">', "</th>")
    caption = html.escape(f"{_name(table.name)}, {len(rows) - 1:,} rows")
    return f'<div class="scroll"><table>\n<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as handle:
        handle.write(text)


if __name__ == "__main__":
    run_step(build)
