"""The contract's command: does the report hold against its sources, judged anew.

Reads report.md as a reader would and the sources as they were given.
"""

from __future__ import annotations

import json
import re
import sys
from typing import List, Optional

from claims import Checker
from request import Failure, load_request
from sources import Library, read_library
from wording import tidy

_MARK = re.compile(r"(?<!\\)\[(\d+)\]")
_QUOTED = re.compile(r"^- \u201c(.*)\u201d \[(\d+)\]$")


def fault() -> Optional[str]:
    """Why the contract does not hold; None when it does."""
    request = load_request()
    library = read_library(request)
    with open("report.md", encoding="utf-8") as handle:
        report = handle.read()
    with open("sources.json", encoding="utf-8") as handle:
        listed = json.load(handle)
    if listed != {"sources": [s.to_json() for s in library.sources], "failed": [f.to_json() for f in library.failed]}:
        return "sources.json does not name the sources that were given"
    parts = _parts(report)
    for wanted in ("What the sources say", "Findings", "Sources"):
        if wanted not in parts:
            return f"report.md has no section `{wanted}`"
    return (
        _citations_fault(parts, library)
        or _quotations_fault(parts["What the sources say"], library)
        or _findings_fault(parts["Findings"], library, request.is_small_model())
        or _listing_fault(parts["Sources"], library)
    )


def _parts(report: str) -> dict:
    """The text below each heading of the second level."""
    pieces = re.split(r"^## (.+)$", report, flags=re.MULTILINE)
    return {heading.strip(): text for heading, text in zip(pieces[1::2], pieces[2::2])}


def _citations_fault(parts: dict, library: Library) -> Optional[str]:
    for heading, text in parts.items():
        for number in _MARK.findall(text) if heading != "Struck by the check" else ():
            if library.get(int(number)) is None:
                return f"`{heading}` cites [{number}], which is no source"
    return None


def _quotations_fault(text: str, library: Library) -> Optional[str]:
    for line in text.split("\n"):
        match = _QUOTED.match(line)
        if match and _read(match[1]) not in tidy(library.get(int(match[2])).text):
            return f"a passage does not stand in [{match[2]}]: {match[1][:80]}"
    return None


def _findings_fault(text: str, library: Library, small: bool) -> Optional[str]:
    lines: List[str] = []
    for line in text.split("\n"):
        if not line.startswith(("Written by ", "No sentence of the model", "No prose:")):
            lines.append(line if line.startswith("#") else _read(line))
    for section in Checker(library, small).read("\n".join(lines)):
        for claim in (claim for paragraph in section.paragraphs for claim in paragraph):
            if claim.reason:
                return f"`Findings` says what is not supported: {claim.text[:120]}: {claim.reason}"
    return None


def _listing_fault(text: str, library: Library) -> Optional[str]:
    for source in library.sources:
        if source.sha256 not in text:
            return f"`Sources` does not list [{source.number}]"
    return None


def _read(line: str) -> str:
    """A line of Markdown as a reader sees it."""
    line = re.sub(r"\\([\\`*\[\]<>#|~$_:.)+=-])", r"\1", line)
    return tidy(line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def main() -> None:
    """Exits with 0 only where the contract holds."""
    try:
        why = fault()
    except (Failure, OSError, ValueError) as error:
        why = str(error)
    if why:
        print(why, file=sys.stderr)
        sys.exit(1)
    print("every citation, quotation and finding holds against the sources")


if __name__ == "__main__":
    main()
