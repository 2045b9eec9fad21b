"""Step 4: chooses the code by its tests and writes everything.

Where nothing passes the best there is gets written all the same, for a repair
by hand; the contract then says that it does not hold.
"""

from __future__ import annotations

import hashlib
from typing import List, Optional, Tuple

from bench import Bench
from candidates import candidates
from given import Given, read_given
from report import report_text
from request import Request, run_step
from suite import Suite, build_suite


def finish(request: Request) -> dict:
    """The whole output of the step."""
    given = read_given(request)
    found = candidates(request, given)
    suite = build_suite(request, given, found[0][1] if found else None)
    chosen, tried, score = _choose(given, suite, found)
    code = chosen[1] if chosen else (found[0][1] if found else "")
    _write(given.path(), code)
    if suite.text:
        _write(suite.path, suite.text)
    for path, text in given.tests.items():
        _write(path, text)
    _write("report.md", report_text(request, given, suite, chosen, tried, score))
    return {
        "passed": chosen is not None,
        "by": chosen[0] if chosen else None,
        "path": given.path(),
        "test_path": suite.path,
        "test_text": suite.text,
        "given_tests": {path: hashlib.sha256(text.encode("utf-8")).hexdigest() for path, text in given.tests.items()},
        "noticed": list(score),
        "why_not": None if chosen else (tried[0][1] if tried else "no code that is Python was written"),
    }


def _choose(
    given: Given, suite: Suite, found: List[Tuple[str, str]]
) -> Tuple[Optional[Tuple[str, str]], List[Tuple[str, str]], tuple]:
    """The first candidate that passes, why others before it do not, and how much its tests notice."""
    tried: List[Tuple[str, str]] = []
    with Bench(given, suite.path, suite.text) as bench:
        for whose, code in found:
            why = bench.fault_of(code) or bench.weakness(code)
            if why is None:
                return (whose, code), tried, bench.score
            tried.append((whose, why))
    return None, tried, (0, 0)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="") as handle:
        handle.write(text)


if __name__ == "__main__":
    run_step(finish)
