"""Step 4: the fix, from the model or from the search, and what is written about it.

Writes fix.patch, report.md and the changed files below fixed/. Where nothing
mends the fault only the report is written, and the task's contract fails.
"""

from __future__ import annotations

import os
from typing import Dict, List, Optional, Tuple

from patch import patch_text
from proposal import judged
from report import Attempt, report_text
from request import Request, run_step
from runner import Outcome
from search import Search
from suspects import rank_lines
from workbench import Workbench


def finish(request: Request) -> dict:
    """The whole output of the step."""
    red = request.output("red")
    with Workbench(request, red["reproduction"]) as bench:
        baseline = bench.baseline(trace=True)
        attempts, changes = _by_model(request, bench, baseline)
        if changes is None:
            attempt, changes = _by_search(bench, baseline)
            attempts.append(attempt)
        patch = patch_text(bench.originals, changes or {})
        _write("report.md", report_text(request, {**red, "aside": bench.aside}, baseline, attempts, patch))
        if changes:
            _write("fix.patch", patch)
            for path, text in changes.items():
                _write(f"fixed/{path}", text)
            if red["reproduction"]:
                _write(f"fixed/{red['reproduction']['path']}", red["reproduction"]["text"])
        return {
            "fixed": bool(changes),
            "by": attempts[-1].by if changes else None,
            "changed": sorted(changes or {}),
            "attempts": [{"by": a.by, "why_not": a.why_not, "note": a.note} for a in attempts],
        }


def _by_model(request: Request, bench: Workbench, baseline: Outcome) -> Tuple[List[Attempt], Optional[Dict[str, str]]]:
    attempts: List[Attempt] = []
    for step in ("fix", "fix_again"):
        answer = request.output(step)
        if answer is None:
            continue
        changes, why = judged(answer, bench, baseline)
        cause = answer.get("cause") if isinstance(answer, dict) else None
        attempts.append(Attempt("the model", why, str(cause or "")))
        if why is None:
            return attempts, {path: text for path, text in changes.items() if text != bench.originals[path]}
    return attempts, None


def _by_search(bench: Workbench, baseline: Outcome) -> Tuple[Attempt, Optional[Dict[str, str]]]:
    sources = {path: bench.originals[path] for path in bench.project.sources}
    search = Search(bench, baseline, rank_lines(baseline, sources))
    found = search.fix()
    if found is None:
        return Attempt("the search", f"none of {search.tried:,} small changes mends it; {search.ended}", ""), None
    changes, note = found
    others = len(search.plausible) - 1
    if others:
        note += f"; {others} other small {'change passes' if others == 1 else 'changes pass'} the tests as well"
    return Attempt(
        "the search", None, f"{note}. {search.tried:,} of {search.total:,} small changes were tried"
    ), changes


def _write(path: str, text: str) -> None:
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as handle:
        handle.write(text)


if __name__ == "__main__":
    run_step(finish)
