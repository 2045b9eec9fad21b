"""A bounded search for a small change that makes the tests pass.

Each small change of a suspicious line is tried on the failing tests, and on
all tests where those pass. Several may pass: the one nearest to what was
written on the most suspicious line is taken.
"""

from __future__ import annotations

import time
from typing import Dict, List, Optional, Tuple

from mutants import Mutant, line_span, mutants
from runner import Outcome
from suspects import Line
from workbench import Workbench

_TRIES_MAX = 3_000
_PLAUSIBLE_MAX = 4
_AFTER_FIRST_MAX = 30
_SECONDS_MAX = 240.0


class Search:
    """One search and what it saw."""

    def __init__(self, bench: Workbench, baseline: Outcome, ranked: List[Tuple[Line, float]]) -> None:
        self._bench = bench
        self._baseline = baseline
        self._failing = baseline.failing()
        self._files = list(dict.fromkeys(test.split("::", 1)[0] for test in self._failing))
        self._candidates = self._order(dict(ranked))
        self.tried = 0
        self.ended = "every small change was tried"
        self.plausible: List[Tuple[int, str, Mutant]] = []

    def _order(self, scores: Dict[Line, float]) -> List[Tuple[str, Mutant]]:
        found = []
        for path in self._bench.project.sources:
            lines = {line for (owner, line) in scores if owner == path}
            for mutant in mutants(self._bench.originals[path], lines):
                found.append((scores[(path, mutant.line)] / mutant.cost, path, mutant))
        found.sort(key=lambda item: (-item[0], item[1], item[2].start, item[2].text))
        return [(path, mutant) for _, path, mutant in found]

    @property
    def total(self) -> int:
        """How many changes there are to try."""
        return len(self._candidates)

    def fix(self) -> Optional[Tuple[Dict[str, str], str]]:
        """The changed files and a sentence about the change; None where none was found."""
        until = time.monotonic() + _SECONDS_MAX
        first_at = None
        for path, mutant in self._candidates:
            if self.tried >= _TRIES_MAX or time.monotonic() > until:
                self.ended = f"the search was ended after {self.tried:,} of {self.total:,} changes"
                break
            if first_at is not None and self.tried - first_at > _AFTER_FIRST_MAX:
                break
            self.tried += 1
            if self._passes(path, mutant):
                first_at = self.tried if first_at is None else first_at
                self.plausible.append((-self._bench.aside_passing, path, mutant))
                if len(self.plausible) >= _PLAUSIBLE_MAX:
                    break
        self._bench.restore()
        if not self.plausible:
            return None
        # Of those that pass, the one that also makes most docstring examples true; else the first.
        _, path, mutant = min(self.plausible, key=lambda found: found[0])
        old, new = line_span(self._bench.originals[path], mutant)
        return {path: mutant.apply(self._bench.originals[path])}, f"`{old}` became `{new}` ({mutant.what})"

    def _passes(self, path: str, mutant: Mutant) -> bool:
        source = self._bench.originals[path]
        text = mutant.apply(source)
        try:
            compile(text, path, "exec")
        except (SyntaxError, ValueError):
            return False
        self._bench.project.write(path, text)
        seconds = min(10.0, max(0.7, 8 * self._bench.seconds))
        # A file that could not even be imported has no test to name.
        named = not any(test.endswith("::import") for test in self._failing)
        outcome = self._bench.run(files=self._files, only=self._failing if named else None, seconds=seconds)
        self._bench.project.write(path, source)
        if outcome.end != "done" or outcome.failing():
            return False
        return self._bench.fault_of({path: text}, self._baseline) is None
