"""Markdown as HTML: the common part of it, with everything escaped.

HTML in the text is shown as text. A link keeps its address only where that is
a web address, a mail address or another page of the site; an image only where
it was given. What was dropped is told.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Callable, List, Optional, Set

_INLINE = re.compile(
    r"(?P<code>`+)(?P<code_text>.+?)(?P=code)|!\[(?P<alt>[^\]\[]*)\]\((?P<image>[^)\s]+)[^)]*\)|\[(?P<label>[^\]\[]+)\]\((?P<link>[^)\s]+)[^)]*\)"
    r"|\*\*(?P<strong>\S.*?)\*\*|(?<!\w)__(?P<strong2>\S.*?)__(?!\w)|\*(?P<em>[^\s*][^*]*)\*|(?<!\w)_(?P<em2>[^\s_][^_]*)_(?!\w)|\\(?P<escaped>[\\`*_{}\[\]()#+.!|-])"
)
_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_ITEM = re.compile(r"^(\s*)(?:[-*+]|(\d{1,9})[.)])\s+(.*)$")
_RULE = re.compile(r"^ {0,3}([-*_])\s*(?:\1\s*){2,}$")
_TABLE_RULE = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*$")
_BLOCKS_MAX = 20_000
# Marks in a longer line are left as they are: looking for their ends takes time that grows with its square.
_INLINE_CHARS_MAX = 8_000


@dataclass
class Rendered:
    """A text as HTML, and what a page needs to know of it."""

    html: str = ""
    title: Optional[str] = None
    dropped: List[str] = field(default_factory=list)


class Renderer:
    """Renders the texts of one site."""

    def __init__(
        self, resolve_link: Callable[[str], Optional[str]], resolve_image: Callable[[str], Optional[str]]
    ) -> None:
        self._resolve_link = resolve_link
        self._resolve_image = resolve_image
        self._dropped: List[str] = []
        self._ids: Set[str] = set()
        self._title: Optional[str] = None
        self._level = 1

    def render(self, text: str) -> Rendered:
        """The whole text; its first heading of level 1 becomes the title and is not repeated."""
        self._dropped, self._ids, self._title, self._level = [], {"content"}, None, 1
        lines = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4).split("\n")
        body = self._blocks(_without_front_matter(lines), 0)
        return Rendered("\n".join(body), self._title, self._dropped)

    def _blocks(self, lines: List[str], depth: int) -> List[str]:
        out: List[str] = []
        at = 0
        while at < len(lines) and len(out) < _BLOCKS_MAX:
            line = lines[at]
            if not line.strip():
                at += 1
            elif line.lstrip().startswith(("```", "~~~")):
                at = self._fence(lines, at, out)
            elif _HEADING.match(line):
                self._heading(_HEADING.match(line), out)
                at += 1
            elif _RULE.match(line):
                out.append("<hr>")
                at += 1
            elif line.lstrip().startswith(">") and depth < 6:
                at = self._quote(lines, at, out, depth)
            elif _ITEM.match(line) and depth < 6:
                at = self._list(lines, at, out, depth)
            elif "|" in line and at + 1 < len(lines) and _TABLE_RULE.match(lines[at + 1]) and "|" in lines[at + 1]:
                at = self._table(lines, at, out)
            else:
                at = self._paragraph(lines, at, out)
        return out

    def _fence(self, lines: List[str], at: int, out: List[str]) -> int:
        mark = lines[at].lstrip()[:3]
        end = next((i for i in range(at + 1, len(lines)) if lines[i].strip().startswith(mark)), len(lines))
        code = "\n".join(lines[at + 1 : end])
        out.append(f"<pre><code>{html.escape(code)}</code></pre>")
        return end + 1

    def _heading(self, match: re.Match, out: List[str]) -> None:
        text = self._inline(match[2])
        if not text.strip():
            return
        if len(match[1]) == 1 and self._title is None and not out:
            self._title = _plain(text)
            return
        # The page's own title is its h1, and no level is left out: readers of screens rely on it.
        level = max(2, min(len(match[1]), self._level + 1, 6))
        self._level = level
        name = self._id(_plain(text))
        out.append(f'<h{level} id="{name}">{text}</h{level}>')

    def _id(self, text: str) -> str:
        base = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "section"
        name, number = base, 2
        while name in self._ids:
            name, number = f"{base}-{number}", number + 1
        self._ids.add(name)
        return name

    def _quote(self, lines: List[str], at: int, out: List[str], depth: int) -> int:
        inner = []
        while at < len(lines) and lines[at].lstrip().startswith(">"):
            inner.append(re.sub(r"^\s*> ?", "", lines[at]))
            at += 1
        out.append("<blockquote>\n" + "\n".join(self._blocks(inner, depth + 1)) + "\n</blockquote>")
        return at

    def _list(self, lines: List[str], at: int, out: List[str], depth: int) -> int:
        first = _ITEM.match(lines[at])
        indent, tag = len(first[1]), "ol" if first[2] else "ul"
        items: List[List[str]] = []
        while at < len(lines):
            match = _ITEM.match(lines[at])
            blank = not lines[at].strip()
            if match and len(match[1]) <= indent:
                if bool(match[2]) != bool(first[2]):
                    break
                items.append([match[3]])
            elif (
                blank
                and at + 1 < len(lines)
                and (_ITEM.match(lines[at + 1]) or lines[at + 1].startswith(" " * (indent + 2)))
            ):
                items[-1].append("")
            elif not blank and (match or lines[at].startswith(" " * (indent + 2))):
                items[-1].append(lines[at][indent + 2 :])
            else:
                break
            at += 1
        out.append(f"<{tag}>")
        out += [f"<li>{self._item(item, depth)}</li>" for item in items]
        out.append(f"</{tag}>")
        return at

    def _item(self, lines: List[str], depth: int) -> str:
        if len(lines) == 1:
            return self._inline(lines[0])
        return "\n".join([self._inline(lines[0]), *self._blocks(lines[1:], depth + 1)])

    def _table(self, lines: List[str], at: int, out: List[str]) -> int:
        head = _cells(lines[at])
        out.append('<div class="scroll"><table>\n<thead><tr>')
        out += [f'<th scope="col">{self._inline(cell)}</th>' for cell in head]
        out.append("</tr></thead>\n<tbody>")
        at += 2
        while at < len(lines) and "|" in lines[at]:
            cells = (_cells(lines[at]) + [""] * len(head))[: len(head)]
            out.append("<tr>" + "".join(f"<td>{self._inline(cell)}</td>" for cell in cells) + "</tr>")
            at += 1
        out.append("</tbody></table></div>")
        return at

    def _paragraph(self, lines: List[str], at: int, out: List[str]) -> int:
        begin = at
        while at < len(lines) and lines[at].strip() and (at == begin or not _begins_block(lines[at])):
            at += 1
        out.append(f"<p>{self._inline(' '.join(line.strip() for line in lines[begin:at]))}</p>")
        return at

    # Within a line

    def _inline(self, text: str, depth: int = 0) -> str:
        if len(text) > _INLINE_CHARS_MAX:
            return html.escape(text)
        parts, at = [], 0
        for match in _INLINE.finditer(text) if depth < 4 else ():
            parts += [html.escape(text[at : match.start()]), self._mark(match, depth)]
            at = match.end()
        return "".join([*parts, html.escape(text[at:])])

    def _mark(self, match: re.Match, depth: int) -> str:
        found = match.groupdict()
        if found["code"]:
            return f"<code>{html.escape(found['code_text'].strip())}</code>"
        if found["image"]:
            return self._image(found["alt"], found["image"])
        if found["link"]:
            return self._link(self._inline(found["label"], depth + 1), found["link"])
        if found["escaped"]:
            return html.escape(found["escaped"])
        strong = found["strong"] or found["strong2"]
        if strong:
            return f"<strong>{self._inline(strong, depth + 1)}</strong>"
        return f"<em>{self._inline(found['em'] or found['em2'], depth + 1)}</em>"

    def _image(self, alt: str, address: str) -> str:
        source = self._resolve_image(address)
        if source is None:
            self._dropped.append(f"the image {address[:120]}: it was not given")
            return html.escape(alt)
        return f'<img src="{html.escape(source)}" alt="{html.escape(alt or "Image")}" loading="lazy">'

    def _link(self, label: str, address: str) -> str:
        # A link within a link is no HTML.
        label = re.sub(r"</?a\b[^>]*>", "", label)
        if re.match(r"(?i)(?:https?://|mailto:)[^\s\"'<>]+$", address):
            return f'<a href="{html.escape(address)}" rel="noopener">{label}</a>'
        target = self._resolve_link(address)
        if target is None:
            self._dropped.append(f"the link {address[:120]}: it leads to nothing in the site")
            return label
        return f'<a href="{html.escape(target)}">{label}</a>'


def _begins_block(line: str) -> bool:
    return bool(_HEADING.match(line) or _ITEM.match(line) or line.lstrip().startswith((">", "```", "~~~")))


def _cells(line: str) -> List[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def _plain(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", text)).strip()


def _without_front_matter(lines: List[str]) -> List[str]:
    if lines and lines[0].strip() == "---":
        end = next((i for i in range(1, min(len(lines), 60)) if lines[i].strip() == "---"), None)
        if end is not None:
            return lines[end + 1 :]
    return lines
