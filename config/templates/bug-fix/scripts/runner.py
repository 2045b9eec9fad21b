"""Starts tests and judges what came of them.

Never the exit code alone: the tests that must run are counted beforehand from
the text of the test files and from a run on the code as it was given, and
each of them must have been run and have passed. The tests themselves run in
`sealed`, another process.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Dict, List, Optional

_SEALED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sealed.py")
SECONDS = 20.0
_FINE = ("passed", "skipped", "expected_failure")


@dataclass
class Outcome:
    """What one run of tests came to."""

    end: str
    tests: Dict[str, list] = field(default_factory=dict)
    lines: Dict[str, Dict[str, List[int]]] = field(default_factory=dict)

    def ids(self, *statuses: str) -> List[str]:
        """The tests that ended so, in the order they ran."""
        return [test for test, (status, _) in self.tests.items() if status in statuses]

    def failing(self) -> List[str]:
        """The tests that failed or broke."""
        return self.ids("failed", "error")

    def detail(self, test: str) -> str:
        """What a failing test said."""
        return self.tests[test][1]


class Runner:
    """A process that runs tests; used as a context manager."""

    def __init__(self) -> None:
        self._process: Optional[subprocess.Popen] = None

    def __enter__(self) -> "Runner":
        return self

    def start(self) -> None:
        """Starts the process now, so that its start is not part of the first run's time."""
        self.run(".", [])

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(
        self,
        root: str,
        files: List[str],
        only: Optional[List[str]] = None,
        trace: Optional[List[str]] = None,
        seconds: float = SECONDS,
    ) -> Outcome:
        """Runs test files of a folder; `trace` names files whose lines are counted."""
        job = {"root": os.path.realpath(root), "files": files, "only": only, "trace": trace or [], "seconds": seconds}
        process = self._start()
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
        except (OSError, ValueError):
            # Code under test can kill the process that watches it.
            self._stop()
            return Outcome("broken")
        return Outcome(answer["end"], answer["tests"], answer.get("lines", {}))

    def _start(self) -> subprocess.Popen:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-B", _SEALED],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "HOME": "/tmp"},
            )
        return self._process

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                stream.close()
            except OSError:
                pass
        self._process = None


def written_tests(path: str, text: str) -> List[str]:
    """The tests that a file's text declares, as `path::Class::name`."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return []
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            found.append(f"{path}::{node.name}")
        elif isinstance(node, ast.ClassDef) and _holds_tests(node):
            names = [item.name for item in node.body if isinstance(item, ast.FunctionDef)]
            found += [f"{path}::{node.name}::{name}" for name in names if name.startswith("test")]
    return found


def _holds_tests(node: ast.ClassDef) -> bool:
    bases = [ast.unparse(base) for base in node.bases]
    return node.name.startswith("Test") or any(base.endswith(("TestCase", "Tests", "Test")) for base in bases)


def shortfall(outcome: Outcome, expected: List[str], baseline: Optional[Outcome] = None) -> Optional[str]:
    """Why a run is not green; None when every expected test ran and passed.

    A test may be skipped or fail as expected only if it did so before.
    """
    ends = {
        "timeout": "the tests were not done in time",
        "broken": "the tests ended without a result: the code ends or damages the process",
        "tampered": "the code changes what judges the tests",
    }
    if outcome.end != "done":
        return ends[outcome.end]
    wanted = list(dict.fromkeys([*expected, *(baseline.tests if baseline else ())]))
    wanted = [test for test in wanted if not test.endswith("::import")]
    for test in outcome.failing():
        return f"{test}: {outcome.detail(test)}"
    for test in wanted:
        status = outcome.tests.get(test, ["missing", ""])[0]
        before = baseline.tests.get(test, ["missing", ""])[0] if baseline else "passed"
        if status != "passed" and not (status in _FINE and status == before):
            return f"{test}: it did not run" if status == "missing" else f"{test}: it was {status}"
    if not outcome.ids("passed"):
        return "no test ran"
    return None
