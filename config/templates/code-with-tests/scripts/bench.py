"""A folder of its own in which a module meets its tests.

Laid out from what was given and from texts in hand, never from the task's
workspace, so nothing that lies there can judge.
"""

from __future__ import annotations

import ast
import os
import tempfile
from typing import Dict, List, Optional

from given import Given
from mutants import mutants
from policy import FOR_PROGRAMS, refusal
from runner import Outcome, Runner, shortfall, written_tests

_SECONDS = 20.0
_STUB_SECONDS = 3.0
_MUTANTS_MAX = 20
# What an implementation that does nothing may return.
CONSTANTS = ("None", "0", "1", "''", "[]", "True", "False")


class Bench:
    """The given files and one written test file; used as a context manager."""

    def __init__(self, given: Given, test_path: str, test_text: Optional[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        self.root = self._folder.name
        self._given = given
        self.tests: Dict[str, str] = dict(given.tests)
        if test_text:
            self.tests[test_path] = test_text
        self._runner = Runner()
        # Small changes of the code that was judged last: how many its tests notice, and how many were tried.
        self.score = (0, 0)

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.__exit__()
        self._folder.cleanup()

    def fault_of(self, code: str) -> Optional[str]:
        """Why an implementation does not do; None when it passes every test."""
        why = refusal(self._given.code.get(self._given.path(), ""), code, FOR_PROGRAMS)
        if why:
            return f"{self._given.path()}: {why}"
        expected = [test for path, text in self.tests.items() for test in written_tests(path, text)]
        return shortfall(self.run(code), expected) if expected else "there are no tests"

    def run(self, code: str, seconds: float = _SECONDS) -> Outcome:
        """Runs every test with this text as the module."""
        files = {**self._given.code, **self.tests, self._given.path(): code}
        for path, text in files.items():
            with open(os.path.join(self.root, path), "w", encoding="utf-8", newline="") as handle:
                handle.write(text)
        return self._runner.run(self.root, list(self.tests), seconds=seconds)

    def vacuous(self, code: str) -> List[str]:
        """Tests that pass although every function only raises."""
        stub = stubbed(code, "raise NotImplementedError", keep_init=False)
        return self.run(stub, _STUB_SECONDS).ids("passed")

    def weakness(self, code: str) -> Optional[str]:
        """Why the tests prove too little about an implementation; None when they prove enough."""
        for constant in CONSTANTS:
            outcome = self.run(stubbed(code, f"return {constant}"), _STUB_SECONDS)
            if outcome.end == "done" and outcome.tests and not outcome.failing():
                return f"the tests pass when every function just returns {constant}"
        noticed, tried = self.score = self._noticed(code)
        if tried and noticed * 3 < tried:
            return f"the tests notice only {noticed} of {tried} small changes of the code"
        return None

    def _noticed(self, code: str) -> tuple:
        """(how many small changes of the code the tests notice, how many were tried)."""
        every = mutants(code)
        step = max(1, len(every) // _MUTANTS_MAX)
        tried = noticed = 0
        for mutant in every[::step][:_MUTANTS_MAX]:
            changed = mutant.apply(code)
            try:
                compile(changed, "module", "exec")
            except (SyntaxError, ValueError):
                continue
            outcome = self.run(changed, _STUB_SECONDS)
            tried += 1
            noticed += outcome.end != "done" or bool(outcome.failing())
        return noticed, tried


def stubbed(code: str, body: str, keep_init: bool = True) -> str:
    """The same functions and classes, each doing nothing but this."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not (keep_init and node.name == "__init__"):
            node.body = ast.parse(body).body
    return ast.unparse(ast.fix_missing_locations(tree))


def functions_of(code: str) -> List[str]:
    """What a text defines, as signatures with the first line of their docstrings."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return []
    found = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append(_described(node))
        elif isinstance(node, ast.ClassDef):
            found.append(f"class {node.name}:")
            methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
            found += [f"    {_described(method)}" for method in methods]
    return found


def _described(node: ast.FunctionDef) -> str:
    docstring = (ast.get_docstring(node) or "").split("\n", 1)[0]
    return f"def {node.name}({ast.unparse(node.args)})" + (f"  # {docstring}" if docstring else "")
