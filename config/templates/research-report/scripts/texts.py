"""The text of one source: what a reader would see, without markup.

Only formats that Python reads by itself are read; any other is refused by
name, so that nobody believes a source was used that was not.
"""

from __future__ import annotations

import csv
import html.parser
import io
import json
import re
from typing import List, Optional, Tuple

BYTES_MAX = 2 << 20
_CELLS_ROWS_MAX = 5_000
_JSON_LINES_MAX = 5_000
_UNREADABLE = {
    b"%PDF": "a PDF; convert it to text first",
    b"PK\x03\x04": "a zip archive or an office document; convert it to text first",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
    b"\x1f\x8b": "compressed; unpack it first",
    b"\xd0\xcf\x11\xe0": "an office document; convert it to text first",
}
_SKIPPED = {"script", "style", "noscript", "template", "svg", "nav", "footer", "head", "form", "iframe", "object"}
_BLOCKS = {"p", "div", "li", "h1", "h2", "h3", "h4", "h5", "h6", "tr", "td", "th", "br", "section", "article", "blockquote", "pre", "dt", "dd", "table", "ul", "ol"}  # fmt: skip
_VOID = {"br", "img", "hr", "input", "meta", "link", "source", "wbr", "col", "area", "base", "embed", "track"}


class Unreadable(Exception):
    """A source that cannot be read; the message says why."""


def text_of(name: str, data: bytes) -> Tuple[str, Optional[str]]:
    """(text, title) of a file."""
    for mark, what in _UNREADABLE.items():
        if data.startswith(mark):
            raise Unreadable(f"it is {what}")
    kind = name.rsplit(".", 1)[-1].lower() if "." in name else "txt"
    text = _decode(data)
    if not text.strip():
        raise Unreadable("it is empty")
    if kind in ("html", "htm", "xhtml") or (
        kind not in ("md", "csv", "json") and re.match(r"\s*<(!doctype|html)", text, re.I)
    ):
        return html_text(text)
    if kind == "csv":
        return _csv_text(text), None
    if kind == "json":
        return _json_text(text), None
    if kind in ("md", "markdown"):
        return markdown_text(text)
    if kind in ("txt", "text", "log", "rst", "tsv"):
        return text, None
    raise Unreadable(f"files of the kind .{kind[:12]} are not read; give txt, md, html, csv or json")


def _decode(data: bytes) -> str:
    data = data[:BYTES_MAX]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data:
        raise Unreadable("it is not text")
    try:
        # The last character may have been cut.
        return data.decode("utf-8-sig", errors="strict" if len(data) < BYTES_MAX else "replace")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


class _Page(html.parser.HTMLParser):
    """Collects visible text and the title."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: List[str] = []
        self.title = ""
        self._skipping: List[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag == "title" and not self.title:
            self._in_title = True
        if tag in _SKIPPED and tag not in _VOID:
            self._skipping.append(tag)
        if tag == "body":
            self._skipping = []
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        if tag in self._skipping:
            del self._skipping[self._skipping.index(tag) :]
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._skipping:
            self.parts.append(data)


def html_text(text: str) -> Tuple[str, Optional[str]]:
    """The visible text of a page and its title."""
    page = _Page()
    page.feed(text)
    page.close()
    lines = (" ".join(line.split()) for line in "".join(page.parts).split("\n"))
    return "\n\n".join(line for line in lines if line), " ".join(page.title.split()) or None


def markdown_text(text: str) -> Tuple[str, Optional[str]]:
    """The text of Markdown without its marks, and its first heading."""
    title = re.search(r"^#\s+(.+)$", text, re.MULTILINE)
    text = re.sub(r"^```.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^\s{0,3}(?:#{1,6}|>|[-*+]|\d+\.)\s+", "", text, flags=re.MULTILINE)
    text = re.sub(r"(\*\*|__|\*|`)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    return text, title[1].strip() if title else None


def _csv_text(text: str) -> str:
    """Each row as a line of `column: value`."""
    try:
        dialect = csv.Sniffer().sniff(text[:4_096], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        rows = [row for row, _ in zip(csv.reader(io.StringIO(text), dialect), range(_CELLS_ROWS_MAX)) if any(row)]
    except csv.Error as error:
        raise Unreadable(f"its rows cannot be read: {error}") from error
    if len(rows) < 2:
        return text
    head = [name.strip() for name in rows[0]]
    return "\n\n".join("; ".join(f"{name}: {cell.strip()}" for name, cell in zip(head, row)) + "." for row in rows[1:])


def _json_text(text: str) -> str:
    """Each object that holds plain values as a line of `name: value`."""
    try:
        lines: List[str] = []
        _flatten(json.loads(text), "", lines)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is not JSON: {str(error)[:100]}") from error
    return "\n\n".join(lines[:_JSON_LINES_MAX])


def _flatten(value: object, path: str, lines: List[str]) -> None:
    if isinstance(value, dict):
        plain = {key: item for key, item in value.items() if not isinstance(item, (dict, list))}
        if plain:
            lines.append(
                (f"{path}: " if path else "") + "; ".join(f"{key}: {item}" for key, item in plain.items()) + "."
            )
        for key, item in value.items():
            if isinstance(item, (dict, list)):
                _flatten(item, f"{path} {key}".strip(), lines)
    elif isinstance(value, list):
        for item in value:
            _flatten(item, path, lines)
    else:
        lines.append(f"{path}: {value}." if path else f"{value}.")
