"""The contract's command: is the site whole, well formed, reachable and self-contained.

Reads the files as a browser would get them and trusts nothing that made them.
"""

from __future__ import annotations

import html.parser
import os
import re
import sys
from typing import Dict, List, Optional, Set
from urllib.parse import unquote, urlsplit

from request import load_request

_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_FORBIDDEN = {"script", "iframe", "object", "embed", "form", "base", "style", "svg"}
_LOADING = {"src", "srcset", "poster", "data", "background"}


class _Page(html.parser.HTMLParser):
    """Notes what a page holds and what is wrong with it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: List[str] = []
        self.links: List[str] = []
        self.loads: List[str] = []
        self.ids: Set[str] = set()
        self.title = ""
        self.language = ""
        self.headings: List[int] = []
        self.has_viewport = False
        self._open: List[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        values = {name: value or "" for name, value in attrs}
        if len(values) != len(attrs):
            self.faults.append(f"an attribute is twice in <{tag}>")
        if tag in _FORBIDDEN or any(name.startswith("on") or name == "style" for name in values):
            self.faults.append(f"<{tag}> has no place in the site, or has code in it")
        if tag == "html":
            self.language = values.get("lang", "")
        if tag == "meta" and values.get("name") == "viewport":
            self.has_viewport = True
        if tag == "img" and not values.get("alt", "").strip():
            self.faults.append("an image has no text in its place")
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self._note(tag, values)
        if tag not in _VOID:
            self._open.append(tag)

    def _note(self, tag: str, values: Dict[str, str]) -> None:
        if "id" in values:
            if values["id"] in self.ids:
                self.faults.append(f"the id {values['id']} is there twice")
            self.ids.add(values["id"])
        if "href" in values:
            (self.loads if tag == "link" else self.links).append(values["href"])
        self.loads += [values[name] for name in _LOADING if name in values]

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID or not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> closes nothing that is open there")
        if tag in self._open:
            del self._open[len(self._open) - 1 - self._open[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self.title += data

    def ended(self) -> List[str]:
        """Every fault of the whole page."""
        faults = list(self.faults)
        if self._open:
            faults.append(f"<{self._open[-1]}> is never closed")
        if not self.title.strip():
            faults.append("it has no title")
        if not self.language.strip():
            faults.append("it does not say its language")
        if not self.has_viewport:
            faults.append("it is not made for small screens")
        if self.headings.count(1) != 1:
            faults.append("it does not have exactly one h1")
        if any(after > before + 1 for before, after in zip(self.headings, self.headings[1:])):
            faults.append("its headings leave a level out")
        return faults


def fault() -> Optional[str]:
    """Why the contract does not hold; None when it does."""
    expected = (load_request().output("build") or {}).get("pages") or ["index.html"]
    files = sorted(
        os.path.relpath(os.path.join(folder, name), "site") for folder, _, names in os.walk("site") for name in names
    )
    for name in expected:
        if name not in files:
            return f"site/{name} is missing"
    pages: Dict[str, _Page] = {}
    for name in files:
        if name.endswith(".html"):
            pages[name] = _read(name)
    for name, page in pages.items():
        why = next(iter(page.ended()), None) or _address_fault(name, page, pages, set(files))
        if why:
            return f"site/{name}: {why}"
    return _reach_fault(pages) or _style_fault(files)


def _read(name: str) -> _Page:
    page = _Page()
    with open(os.path.join("site", name), encoding="utf-8") as handle:
        text = handle.read()
    if not text.startswith("<!DOCTYPE html>"):
        page.faults.append("it does not begin with <!DOCTYPE html>")
    page.feed(text)
    page.close()
    return page


def _address_fault(name: str, page: _Page, pages: Dict[str, _Page], files: Set[str]) -> Optional[str]:
    for address in page.loads:
        target = _target(name, address)
        if urlsplit(address).scheme or address.startswith("//"):
            return f"it loads {address[:120]} from elsewhere"
        if target not in files:
            return f"it loads {address[:120]}, which is not there"
    for address in page.links:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https", "mailto"):
            continue
        if parts.scheme or address.startswith("//"):
            return f"it links to {address[:120]}"
        target = _target(name, address)
        if target not in files:
            return f"it links to {address[:120]}, which is not there"
        if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
            return f"it links to {address[:120]}, a place that is not there"
    return None


def _target(name: str, address: str) -> str:
    path = unquote(urlsplit(address).path)
    return os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name


def _reach_fault(pages: Dict[str, _Page]) -> Optional[str]:
    """Every page can be reached from the first."""
    seen, queue = {"index.html"}, ["index.html"]
    while queue:
        name = queue.pop()
        for target in (_target(name, address) for address in pages[name].links if not urlsplit(address).scheme):
            if target in pages and target not in seen:
                seen.add(target)
                queue.append(target)
    lost = sorted(set(pages) - seen)
    return f"site/{lost[0]} cannot be reached from the first page" if lost else None


def _style_fault(files: List[str]) -> Optional[str]:
    for name in files:
        if name.endswith(".css"):
            with open(os.path.join("site", name), encoding="utf-8") as handle:
                if re.search(r"url\(|@import|expression\(|//", handle.read()):
                    return f"site/{name} loads something"
        elif not name.endswith((".html", ".png", ".jpg", ".jpeg", ".gif", ".webp")):
            return f"site/{name} is of a kind that the site does not need"
    return None


def main() -> None:
    """Exits with 0 only where the contract holds."""
    try:
        why = fault()
    except (OSError, ValueError) as error:
        why = str(error)
    if why:
        print(why, file=sys.stderr)
        sys.exit(1)
    print("every page is well formed, and every link leads somewhere")


if __name__ == "__main__":
    main()
