"""Markdown that shows text from elsewhere as text.

Titles, sentences and addresses can hold anything; they must not become
headings, links or HTML.
"""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"([\\`*\[\]<>#|~$]|(?<!\w)_|_(?!\w))")


def plain(text: str) -> str:
    """Text on one line with every Markdown and HTML mark made harmless."""
    line = "".join(mark for mark in " ".join(text.split()) if mark.isprintable())
    line = line.replace("&", "&amp;")
    line = _SPECIAL.sub(r"\\\1", line).replace("\\<", "&lt;").replace("\\>", "&gt;")
    line = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", line)
    line = re.sub(r"^([-+=])", r"\\\1", line)
    return re.sub(r"(?i)\b(https?|ftp|www)([:.])", r"\1\\\2", line)


def cited(text: str, numbers: list) -> str:
    """An escaped sentence with its citations before its last mark."""
    marks = "".join(f"\\[{number}\\]" for number in numbers).replace("\\[", "[").replace("\\]", "]")
    body = text.rstrip()
    end = body[-1] if body and body[-1] in ".!?" else "."
    return f"{plain(body.rstrip('.!?'))} {marks}{end}"
