"""Step 4: checks every sentence of the model and writes the report.

What code found stands first, word for word; what a model wrote follows where
its sources support it; what does not pass is listed with the reason.
"""

from __future__ import annotations

import json
from typing import List

from claims import Checker, Claim, Section
from document import cited, plain
from ranking import Passage, gives_orders, rank
from request import Request, run_step
from sources import Library, read_library

_KEY_PASSAGES = 5
_STRUCK_MAX = 30


def report(request: Request) -> dict:
    """The whole output of the step."""
    library = read_library(request)
    ranked = rank(library, request.goal)
    prose = request.output("write")
    checker = Checker(library, request.is_small_model())
    sections = checker.read(prose) if isinstance(prose, str) else []
    for section in sections:
        section.heading = checker.heading(section.heading)
    claims = [claim for section in sections for paragraph in section.paragraphs for claim in paragraph]
    kept = [claim for claim in claims if claim.reason is None]
    struck = [claim for claim in claims if claim.reason is not None]
    parts = [
        _head(request, library),
        _key_passages(ranked),
        _findings(request, sections, kept),
        _struck(struck),
        _sources(library),
        _method(request, library),
    ]
    _write("report.md", "\n".join(line for part in parts for line in part))
    listed = {"sources": [s.to_json() for s in library.sources], "failed": [f.to_json() for f in library.failed]}
    _write("sources.json", json.dumps(listed, indent=2, ensure_ascii=False) + "\n")
    return {
        "sources": len(library.sources),
        "failed": len(library.failed),
        "kept": len(kept),
        "struck": [
            {"sentence": claim.text[:150], "reason": (claim.reason or "")[:150]} for claim in struck[:_STRUCK_MAX]
        ],
    }


def _head(request: Request, library: Library) -> List[str]:
    title = request.params.get("title") or "Research report"
    lines = [f"# {plain(title)}", "", f"**Question:** {plain(request.goal)}", ""]
    lines.append(f"From {_count(len(library.sources), 'source')}.")
    if library.failed:
        lines[-1] += f" {_count(len(library.failed), 'source')} could not be used; see [Sources](#sources)."
    return [*lines, ""]


def _key_passages(ranked: List[Passage]) -> List[str]:
    lines = ["## What the sources say", ""]
    if not ranked:
        return [*lines, "No sentence of the sources has a word in common with the question.", ""]
    best: List[Passage] = []
    for passage in ranked:
        if sum(other.source == passage.source for other in best) < 3:
            best.append(passage)
        if len(best) == _KEY_PASSAGES:
            break
    lines += ["The sentences that fit the question best, word for word:", ""]
    return [*lines, *(f"- \u201c{plain(passage.text)}\u201d [{passage.source}]" for passage in best), ""]


def _findings(request: Request, sections: List[Section], kept: List[Claim]) -> List[str]:
    lines = ["## Findings", ""]
    if not kept:
        status = request.status("write")
        why = (
            "No sentence of the model passed the check."
            if status == "succeeded"
            else f"No prose: the writing step was {status}."
        )
        return [*lines, f"{why} The passages above are the answer.", ""]
    lines += [f"Written by {plain(request.model())}. Each sentence was held against the sources it cites.", ""]
    for section in sections:
        paragraphs = [[claim for claim in claims if claim.reason is None] for claims in section.paragraphs]
        if not any(paragraphs):
            continue
        if section.heading:
            lines += [f"### {plain(section.heading)}", ""]
        for claims in paragraphs:
            if claims:
                lines += [" ".join(cited(claim.text, claim.cited) for claim in claims), ""]
    return lines


def _struck(struck: List[Claim]) -> List[str]:
    if not struck:
        return []
    lines = ["## Struck by the check", ""]
    lines += [f"- ~~{plain(claim.text[:300])}~~ {plain(claim.reason)}." for claim in struck[:_STRUCK_MAX]]
    if len(struck) > _STRUCK_MAX:
        lines.append(f"- and {len(struck) - _STRUCK_MAX} more")
    return [*lines, ""]


def _sources(library: Library) -> List[str]:
    lines = ["## Sources", ""]
    for source in library.sources:
        place = "" if source.title == source.origin else f"{plain(source.title)}. "
        shown = f"<{source.origin}>" if source.is_url and _is_safe(source.origin) else plain(source.origin)
        notes = f" ({plain('; '.join(source.notes))})" if source.notes else ""
        lines.append(f"- [{source.number}] {place}{shown}, {source.bytes:,} bytes, SHA-256 {source.sha256}{notes}")
    if library.failed:
        lines += ["", "Could not be used:", ""]
        lines += [f"- {plain(failed.origin)}: {plain(failed.why)}" for failed in library.failed]
    return [*lines, ""]


def _method(request: Request, library: Library) -> List[str]:
    lines = [
        "## How this was made",
        "",
        "Code read and numbered the sources, ranked their sentences by the question's words, and held each sentence of the model "
        "against the sources it cites, or where it cites none against all: the citation exists, quotations stand there word for word, and one place of the source has "
        "its numbers, its names and most of its words. That a sentence stayed does not prove it; read the sources.",
        "",
    ]
    orders = [source.number for source in library.sources if any(gives_orders(text) for text in source.sentences())]
    if orders:
        numbers = ", ".join(f"[{number}]" for number in orders)
        lines += [
            f"Text in {numbers} addresses an assistant instead of a reader. It was left out and not followed.",
            "",
        ]
    return lines


def _is_safe(url: str) -> bool:
    return url.startswith(("http://", "https://")) and not any(mark in url for mark in "<> \t\n\"'`\\")


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as handle:
        handle.write(text)


if __name__ == "__main__":
    run_step(report)
