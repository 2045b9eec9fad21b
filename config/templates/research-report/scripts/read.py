"""Step 2: reads the sources and picks what a model is shown.

Output: how many sources there are, which failed, and the passages that speak
to the question, as a prompt shows them.
"""

from __future__ import annotations

import json
from typing import List

from ranking import Passage, rank
from request import Failure, Request, run_step
from sources import Library, read_library

_CHARS, _CHARS_SMALL = 24_000, 2_400
_PASSAGES_PER_SOURCE = 40


def read(request: Request) -> dict:
    """The whole output of the step."""
    if not request.goal.strip():
        raise Failure("a report answers a question: the goal is empty")
    library = read_library(request)
    ranked = rank(library, request.goal)
    return {
        "sources": len(library.sources),
        "failed": [{"origin": failed.origin[:200], "why": failed.why[:200]} for failed in library.failed[:20]],
        "relevant": len(ranked) > 0,
        "passages": _passages(library, ranked, _CHARS_SMALL if request.is_small_model() else _CHARS),
        "sections": request.params.get("sections", 3),
    }


def _passages(library: Library, ranked: List[Passage], chars_max: int) -> str:
    """The best passages, grouped by source in reading order, with the sentence that follows each."""
    chosen: dict = {}
    used = 0
    for passage in ranked:
        own = chosen.setdefault(passage.source, set())
        size = len(json.dumps(passage.text)) + 8
        if len(own) >= _PASSAGES_PER_SOURCE or used + size > chars_max:
            continue
        own.add(passage.at)
        used += size
    lines = []
    for number in sorted(chosen):
        if chosen[number]:
            texts = library.get(number).sentences()
            lines += [f"[{number}] {texts[at]}" for at in sorted(chosen[number])]
    return "\n".join(lines)


if __name__ == "__main__":
    run_step(read)
