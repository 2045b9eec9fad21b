"""The sources of one report: numbered, read, hashed; those that failed are named."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import List, Optional

from request import Failure, Request
from texts import BYTES_MAX, Unreadable, markdown_text, text_of
from wording import sentences

_TITLE_CHARS = 160
# Every step reads all of it, and every sentence is weighed.
_TEXT_CHARS_MAX = 6_000_000


@dataclass
class Source:
    """One source that was read."""

    number: int
    title: str
    origin: str
    is_url: bool
    bytes: int
    sha256: str
    text: str
    notes: List[str] = field(default_factory=list)
    _sentences: Optional[List[str]] = None

    def sentences(self) -> List[str]:
        """The sentences of its text, in order."""
        if self._sentences is None:
            self._sentences = sentences(self.text)
        return self._sentences

    def to_json(self) -> dict:
        """What is told of it; its text is not repeated."""
        place = {"url": self.origin} if self.is_url else {"file": self.origin}
        return {
            "number": self.number,
            "title": self.title,
            **place,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "notes": self.notes,
        }


@dataclass
class Failed:
    """A source that was asked for and cannot be used."""

    origin: str
    why: str

    def to_json(self) -> dict:
        """What is told of it."""
        return {"origin": self.origin, "why": self.why}


@dataclass
class Library:
    """All sources of a task."""

    sources: List[Source] = field(default_factory=list)
    failed: List[Failed] = field(default_factory=list)

    def get(self, number: int) -> Optional[Source]:
        """The source with this number."""
        return next((source for source in self.sources if source.number == number), None)


def read_library(request: Request) -> Library:
    """Reads every file and every fetched page; fails where none is left."""
    library = Library()
    for item in request.inputs:
        _read_file(library, item)
    urls = request.params.get("sources") or []
    pages = request.output("fetch") or []
    for index, url in enumerate(urls):
        _read_page(library, url, pages[index] if index < len(pages) else None)
    if not library.sources:
        if not library.failed:
            raise Failure("a report needs sources: give files, or URLs in the parameter `sources`")
        first = library.failed[0]
        raise Failure(f"none of the {len(library.failed)} sources can be used; {first.origin}: {first.why}")
    return library


def _read_file(library: Library, item: dict) -> None:
    name = item["name"]
    with open(item["path"], "rb") as handle:
        data = handle.read(BYTES_MAX)
        size = os.fstat(handle.fileno()).st_size
    try:
        text, title = text_of(name, data)
    except Unreadable as why:
        library.failed.append(Failed(name, str(why)))
        return
    digest = item.get("sha256") or hashlib.sha256(data).hexdigest()
    notes = [f"only its first {BYTES_MAX:,} bytes were read"] if size > BYTES_MAX else []
    _add(library, title or name, name, False, size, digest, text, notes)


def _read_page(library: Library, url: str, page: object) -> None:
    """A page as `web_fetch` returned it; None where it failed."""
    if not isinstance(page, dict):
        library.failed.append(Failed(url, "it could not be fetched"))
        return
    status = page.get("status")
    text = page.get("text")
    if not isinstance(status, int) or not 200 <= status < 300:
        library.failed.append(Failed(url, f"the server answered {status}"))
        return
    if not isinstance(text, str) or not text.strip():
        library.failed.append(Failed(url, "it holds no text"))
        return
    data = text.encode("utf-8")
    # Pages come as Markdown.
    text, found = markdown_text(text)
    title = page.get("title") or found
    notes = ["only its beginning was fetched"] if page.get("truncated") else []
    if page.get("url") and page["url"] != url:
        notes.append(f"it was redirected to {page['url']}")
    _add(library, title or url, url, True, len(data), hashlib.sha256(data).hexdigest(), text, notes)


def _add(
    library: Library, title: str, origin: str, is_url: bool, size: int, digest: str, text: str, notes: list
) -> None:
    same = next((source for source in library.sources if source.sha256 == digest), None)
    if same is not None:
        library.failed.append(Failed(origin, f"it holds the same as source [{same.number}]"))
        return
    if sum(len(source.text) for source in library.sources) + len(text) > _TEXT_CHARS_MAX:
        library.failed.append(Failed(origin, f"the sources together have more than {_TEXT_CHARS_MAX:,} characters"))
        return
    title = " ".join(str(title).split())[:_TITLE_CHARS] or origin
    number = len(library.sources) + 1
    library.sources.append(Source(number, title, origin, is_url, size, digest, text, notes))
