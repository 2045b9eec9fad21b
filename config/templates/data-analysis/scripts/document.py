"""Markdown that shows text from data as text.

Cell values, file names and a model's sentences can hold anything; they must
not become headings, links, HTML or table columns.
"""

from __future__ import annotations

import re
from typing import Iterable, List

from figures import Figure, format_cell, shorten

# An underscore within a word is no mark, so names such as body_mass_g stay.
_SPECIAL = re.compile(r"([\\`*\[\]<>#|~$]|(?<!\w)_|_(?!\w))")
_CELL_CHARS = 80


def plain(text: str) -> str:
    """Text on one line with every Markdown and HTML mark made harmless."""
    line = "".join(mark for mark in " ".join(text.split()) if mark.isprintable())
    line = line.replace("&", "&amp;")
    line = _SPECIAL.sub(r"\\\1", line).replace("\\<", "&lt;").replace("\\>", "&gt;")
    line = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", line)
    line = re.sub(r"^([-+=])", r"\\\1", line)
    return re.sub(r"(?i)\b(https?|ftp|www)([:.])", r"\1\\\2", line)


def table(columns: List[str], rows: Iterable[List[Figure]]) -> List[str]:
    """A Markdown table; columns of figures are set flush right."""
    rows = list(rows)
    marks = ["---:" if _is_figures(index, rows) else "---" for index in range(len(columns))]
    lines = [_line(plain(shorten(column, _CELL_CHARS)) for column in columns), _line(marks)]
    for row in rows:
        lines.append(_line(plain(shorten(format_cell(cell), _CELL_CHARS)) for cell in row))
    return lines


def bullets(items: Iterable[str]) -> List[str]:
    """A list of escaped items."""
    return [f"- {plain(item)}" for item in items]


def _is_figures(index: int, rows: List[List[Figure]]) -> bool:
    return bool(rows) and all(not isinstance(row[index], str) for row in rows)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
