"""The given files, sorted into pages, tables and images, with the names they get in the site."""

from __future__ import annotations

import csv
import io
import os
import re
from dataclasses import dataclass, field
from typing import Dict, List

from request import Failure, Request

_TEXT_BYTES_MAX = 2 << 20
_IMAGE_BYTES_MAX = 20 << 20
_ROWS_MAX = 2_000
_COLUMNS_MAX = 40
_IMAGES = {
    "png": b"\x89PNG\r\n\x1a\n",
    "jpg": b"\xff\xd8\xff",
    "jpeg": b"\xff\xd8\xff",
    "gif": b"GIF8",
    "webp": b"RIFF",
}


@dataclass
class Text:
    """A Markdown or CSV file."""

    name: str
    page: str
    text: str


@dataclass
class Material:
    """Everything that was given."""

    texts: List[Text] = field(default_factory=list)
    tables: List[Text] = field(default_factory=list)
    # Name as given -> (path of the input, path in the site)
    images: Dict[str, tuple] = field(default_factory=dict)

    def pages(self) -> List[str]:
        """The names of all pages but the first."""
        return [text.page for text in [*self.texts, *self.tables] if text.page != "index.html"]


def read_material(request: Request) -> Material:
    """Reads and checks every file."""
    material = Material()
    taken = {"index.html"}
    for item in request.inputs:
        name = item["name"]
        kind = name.rsplit(".", 1)[-1].lower() if "." in name else ""
        if kind in ("md", "markdown", "txt"):
            is_index = _slug(name) in ("index", "readme") and not any(
                text.page == "index.html" for text in material.texts
            )
            page = "index.html" if is_index else _unused(_slug(name), "html", taken)
            material.texts.append(Text(name, page, _text(item)))
        elif kind == "csv":
            material.tables.append(Text(name, _unused(_slug(name), "html", taken), _text(item)))
        elif kind in _IMAGES:
            _check_image(item, _IMAGES[kind])
            material.images[name] = (item["path"], f"images/{_unused(_slug(name), kind, taken)}")
        else:
            raise Failure(f"{name}: a site is made of Markdown, text, CSV and images (png, jpg, gif, webp)")
    return material


def _text(item: dict) -> str:
    with open(item["path"], "rb") as handle:
        data = handle.read(_TEXT_BYTES_MAX + 1)
    if len(data) > _TEXT_BYTES_MAX:
        raise Failure(f"{item['name']} has more than {_TEXT_BYTES_MAX:,} bytes")
    if b"\0" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Failure(f"{item['name']} is not text")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", errors="replace")
    if not text.strip():
        raise Failure(f"{item['name']} is empty")
    return "".join(mark for mark in text if mark in "\n\r\t" or mark.isprintable())


def _check_image(item: dict, mark: bytes) -> None:
    if os.path.getsize(item["path"]) > _IMAGE_BYTES_MAX:
        raise Failure(f"{item['name']} has more than {_IMAGE_BYTES_MAX:,} bytes")
    with open(item["path"], "rb") as handle:
        if not handle.read(16).startswith(mark):
            raise Failure(f"{item['name']} is not the kind of image that its name says")


def _slug(name: str) -> str:
    """A name for a web address: ASCII letters, digits and hyphens."""
    stem = name.rsplit(".", 1)[0].lower()
    for letters, plain in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"), ("é", "e"), ("è", "e")):
        stem = stem.replace(letters, plain)
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:60] or "page"


def _unused(slug: str, kind: str, taken: set) -> str:
    name, number = f"{slug}.{kind}", 2
    while name in taken:
        name, number = f"{slug}-{number}.{kind}", number + 1
    taken.add(name)
    return name


def rows_of(table: Text) -> List[List[str]]:
    """The rows of a CSV file, the head first, cut to what a page can show."""
    try:
        dialect = csv.Sniffer().sniff(table.text[:4_096], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        rows = [
            row[:_COLUMNS_MAX]
            for row in csv.reader(io.StringIO(table.text), dialect)
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise Failure(f"{table.name} cannot be read: {error}") from error
    if not rows:
        raise Failure(f"{table.name} has no rows")
    return rows[: _ROWS_MAX + 1]
