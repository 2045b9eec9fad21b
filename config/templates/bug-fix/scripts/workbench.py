"""The project on a bench: laid out anew in each step, run, changed, put back.

Nothing of it lies in the task's workspace, so no step and no agent can alter
what a later step judges by. What counts is the given input and the outputs
that earlier steps left in the journal.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from typing import Dict, List, Optional

from docstrings import FILE as DOCSTRING_FILE
from docstrings import docstring_tests
from overfit import answers_the_test
from policy import refusal
from project import is_test_code, lay_out
from request import Failure, Request
from runner import SECONDS, Outcome, Runner, shortfall, written_tests

_SINGLE_SECONDS = 3.0
_SINGLE_TESTS_MAX = 60
_JUDGES_SHOWN = 30


class Workbench:
    """A project with its tests; used as a context manager."""

    def __init__(self, request: Request, reproduction: Optional[dict] = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        files = [item for item in request.inputs if not is_description(item["name"])]
        if not files:
            raise Failure("no source file was given")
        self.project = lay_out(files, os.path.join(self._folder.name, "project"))
        self.originals: Dict[str, str] = {path: self.project.read(path) for path in self.project.python}
        self.test_files: List[str] = list(self.project.tests)
        self._add_docstring_tests()
        if reproduction:
            self.add_tests(reproduction["path"], reproduction["text"])
        self.runner = Runner()
        self.seconds = 0.0
        # Docstring examples that fail although given tests say what is wrong: they may be out of date.
        self.aside: List[str] = []
        self.aside_passing = 0
        # What came to no end in the first step does not have to be waited for again.
        self.one_by_one = bool((request.output("prepare") or {}).get("one_by_one"))

    def __enter__(self) -> "Workbench":
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.__exit__()
        self._folder.cleanup()

    def _add_docstring_tests(self) -> None:
        text = docstring_tests([(path, self.originals[path]) for path in self.project.sources])
        if text and DOCSTRING_FILE not in self.project.paths:
            self.add_tests(DOCSTRING_FILE, text)

    def add_tests(self, path: str, text: str) -> None:
        """Puts a test file beside the given ones."""
        if path in self.originals:
            raise Failure(f"the project has a {path} of its own")
        self.project.write(path, text)
        self.originals[path] = text
        self.test_files.append(path)

    def written(self) -> List[str]:
        """Every test that the text of a test file declares."""
        found = [test for path in self.test_files for test in written_tests(path, self.originals[path])]
        return [test for test in found if test not in self.aside]

    def judges(self) -> dict:
        """SHA-256 of the first files that judge, and of all of them together."""
        paths = sorted(path for path in self.originals if is_test_code(path))
        digests = {path: hashlib.sha256(self.originals[path].encode("utf-8")).hexdigest() for path in paths}
        whole = hashlib.sha256(
            "\n".join(f"{digest} {path}" for path, digest in digests.items()).encode("utf-8")
        ).hexdigest()
        return {"count": len(paths), "sha256": whole, "files": dict(list(digests.items())[:_JUDGES_SHOWN])}

    # Runs

    def run(self, **options) -> Outcome:
        """Runs tests on the code as it lies there now."""
        outcome = self.runner.run(self.project.root, options.pop("files", self.test_files), **options)
        ends = [outcome.tests.pop(test, ["missing", ""])[0] for test in self.aside]
        self.aside_passing = ends.count("passed")
        return outcome

    def baseline(self, trace: bool = False) -> Outcome:
        """A run on the code as it was given; one by one where all at once come to no end."""
        self.restore()
        self.runner.start()
        self.aside = []
        outcome = self._run_as_given(trace)
        failing = outcome.failing()
        if any(test.split("::", 1)[0] in self.project.tests for test in failing):
            self.aside = [test for test in failing if test.startswith(f"{DOCSTRING_FILE}::")]
        for test in self.aside:
            del outcome.tests[test]
        return outcome

    def _run_as_given(self, trace: bool) -> Outcome:
        if not self.one_by_one:
            began = time.monotonic()
            outcome = self.run(trace=self.project.sources if trace else None)
            self.seconds = time.monotonic() - began
            self.one_by_one = outcome.end in ("timeout", "broken")
            if not self.one_by_one:
                return outcome
        return self._one_by_one()

    def _one_by_one(self) -> Outcome:
        whole = Outcome("done")
        self.seconds = 0.0
        for test in self.written()[:_SINGLE_TESTS_MAX]:
            path = test.split("::", 1)[0]
            began = time.monotonic()
            one = self.run(files=[path], only=[test], trace=self.project.sources, seconds=_SINGLE_SECONDS)
            self.seconds += time.monotonic() - began if one.end == "done" else 0.0
            said = {"timeout": "it was not done in time", "broken": "it ended the process"}
            whole.tests[test] = one.tests.get(test, ["error", said.get(one.end, "it did not run")])
            whole.lines.update(one.lines)
        return whole

    # Changes

    def restore(self) -> None:
        """Puts every file back as it was given."""
        self.apply({})

    def apply(self, changes: Dict[str, str]) -> None:
        """Lays the project out as it was given with these files changed."""
        for path, text in self.originals.items():
            self.project.write(path, changes.get(path, text))

    def fault_of(self, changes: Dict[str, str], baseline: Outcome) -> Optional[str]:
        """Why a change is no fix; None when it is one."""
        changes = {path: text for path, text in changes.items() if self.originals.get(path) != text}
        if not changes:
            return "nothing was changed"
        for path, text in changes.items():
            why = self._refusal(path, text, baseline)
            if why:
                return f"{path}: {why}"
        self.apply(changes)
        outcome = self.run(seconds=min(SECONDS, max(3.0, 8 * self.seconds)))
        self.restore()
        return shortfall(outcome, self.written(), baseline)

    def _refusal(self, path: str, text: str, baseline: Outcome) -> Optional[str]:
        if is_test_code(path) or path in self.test_files:
            return "a fix must not touch tests"
        if path not in self.project.sources:
            return "it is not a source file of the project"
        why = refusal(self.originals[path], text)
        if why:
            return why
        files = {test.split("::", 1)[0] for test in baseline.failing()}
        tests = "\n".join(self.originals[file] for file in sorted(files) if file in self.originals)
        return answers_the_test(self.originals[path], text, tests)


def is_description(name: str) -> bool:
    """Whether a file tells about the fault instead of being part of the project."""
    return name.lower().endswith((".md", ".txt", ".log", ".rst"))
