"""Runs tests in processes of their own and says what became of each.

Started by `runner` as `python3 -I sealed.py`. It reads one job as JSON from
each line of standard input and answers with one line. Each job runs in a
fork, so code under test can end, hang or damage only that. What the fork says
counts only when it is one JSON value that ends with a secret of the job, and
when the parts of Python that judge tests are still those from before.

This file knows nothing of faults and fixes; it imports none of the other
scripts, so their names stay free for the project's modules.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import json
import os
import resource
import secrets
import select
import signal
import sys
import time
import types
import unittest
import unittest.case
import unittest.result
from typing import Any, Callable, Dict, Optional, Tuple

_REPORT_BYTES_MAX = 32 << 20
_MEMORY_BYTES = 768 << 20
_FILE_BYTES = 64 << 20
_DETAIL_CHARS = 700
_JUDGES = (unittest.TestCase, unittest.result.TestResult, unittest.case._Outcome, unittest, unittest.case)


def main() -> None:
    """Answers jobs until there are no more."""
    for line in sys.stdin:
        job = json.loads(line)
        answer = _run_in_fork(job)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _run_in_fork(job: dict) -> dict:
    secret = secrets.token_hex(16)
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        # Whatever happens in the fork, it never goes on as a second reader of jobs.
        try:
            os.close(source)
            os.setpgid(0, 0)
            _work(job, sink, secret)
        finally:
            os._exit(0)
    os.close(sink)
    data, in_time = _read_report(source, time.monotonic() + job["seconds"])
    os.close(source)
    _kill(child)
    if not in_time:
        return {"end": "timeout", "tests": {}}
    if not data.endswith(secret.encode()):
        return {"end": "broken", "tests": {}}
    try:
        return json.loads(data[: -len(secret)])
    except ValueError:
        return {"end": "broken", "tests": {}}


def _read_report(source: int, until: float) -> Tuple[bytes, bool]:
    """Everything until the other side closes, and whether it came in time."""
    data = b""
    while len(data) < _REPORT_BYTES_MAX:
        left = until - time.monotonic()
        if left <= 0 or not select.select([source], [], [], left)[0]:
            return data, False
        part = os.read(source, 1 << 16)
        if not part:
            break
        data += part
    return data, True


def _kill(child: int) -> None:
    for target in (-child, child):
        try:
            os.kill(target, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
    os.waitpid(child, 0)


# In the fork


def _work(job: dict, sink: int, secret: str) -> None:
    """Runs the job's test files and reports once, at the very end."""
    _limit(job["seconds"])
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.chdir(job["root"])
    sys.argv = ["tests"]
    judges = _state_of_judges()
    report = {"end": "done", "tests": {}, "lines": {}}
    session = _Session(job, report)
    for path in job["files"]:
        session.run_file(path)
    after = _state_of_judges()
    if any(after.get(part) != value for part, value in judges.items()):
        report = {"end": "tampered", "tests": {}}
    write, dumps = os.write, json.dumps
    data = dumps(report).encode() + secret.encode()
    while data:
        data = data[write(sink, data) :]


def _limit(seconds: float) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    cpu = int(seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))


def _state_of_judges() -> Dict[tuple, int]:
    """Who decides whether a test passes: compared before and after. What is new since then judges nothing."""
    owners = (*_JUDGES, builtins)
    return {(str(owner), name): id(value) for owner in owners for name, value in vars(owner).items() if name != "_"}


class _Session:
    """The test files of one job, run one after another."""

    def __init__(self, job: dict, report: dict) -> None:
        self._root = os.path.realpath(job["root"])
        self._wanted: Optional[set] = None if job.get("only") is None else set(job["only"])
        self._traced = {os.path.join(self._root, path): path for path in job.get("trace", [])}
        self._report = report
        sys.path[:0] = [self._root, os.path.join(self._root, "src")]

    def run_file(self, path: str) -> None:
        """Imports a test file and runs what it holds."""
        try:
            module = self._import(path)
        except BaseException as error:  # A module may raise SystemExit.
            self._report["tests"][f"{path}::import"] = ["error", _describe(error)]
            return
        for name, value in list(vars(module).items()):
            if isinstance(value, type) and value.__module__ == module.__name__:
                self._run_class(path, value)
            elif isinstance(value, types.FunctionType) and name.startswith("test"):
                if value.__module__ == module.__name__:
                    self._run_test(f"{path}::{name}", value if _needs_nothing(value) else _needs_fixtures)

    def _import(self, path: str) -> types.ModuleType:
        folder, name = os.path.split(path)
        module = name[: -len(".py")]
        if os.path.exists(os.path.join(self._root, folder, "__init__.py")):
            return importlib.import_module(".".join([*folder.split("/"), module]) if folder else module)
        sys.path.insert(0, os.path.join(self._root, folder))
        spec = importlib.util.spec_from_file_location(module, os.path.join(self._root, path))
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[module] = loaded
        spec.loader.exec_module(loaded)
        return loaded

    def _run_class(self, path: str, kind: type) -> None:
        if issubclass(kind, unittest.TestCase):
            self._run_case(path, kind)
        elif kind.__name__.startswith("Test"):
            for name in [name for name in dir(kind) if name.startswith("test")]:
                self._run_test(f"{path}::{kind.__name__}::{name}", lambda name=name: getattr(kind(), name)())

    def _run_case(self, path: str, kind: type) -> None:
        names = unittest.TestLoader().getTestCaseNames(kind)
        wanted = [name for name in names if self._is_wanted(f"{path}::{kind.__name__}::{name}")]
        if not wanted:
            return
        try:
            kind.setUpClass()
        except BaseException as error:
            for name in wanted:
                self._report["tests"][f"{path}::{kind.__name__}::{name}"] = ["error", _describe(error)]
            return
        for name in wanted:
            self._run_test(f"{path}::{kind.__name__}::{name}", lambda name=name: _run_unittest(kind(name)))
        try:
            kind.tearDownClass()
        except BaseException as error:
            self._report["tests"][f"{path}::{kind.__name__}::tearDownClass"] = ["error", _describe(error)]

    def _is_wanted(self, test: str) -> bool:
        return self._wanted is None or test in self._wanted

    def _run_test(self, test: str, call: Callable[[], Any]) -> None:
        if not self._is_wanted(test):
            return
        hits: Dict[str, set] = {}
        try:
            if self._traced:
                sys.settrace(self._tracer(hits))
            outcome = call()
            status = outcome if isinstance(outcome, list) else ["passed", ""]
        except unittest.SkipTest as reason:
            status = ["skipped", str(reason)]
        except AssertionError as error:
            status = ["failed", _describe(error)]
        except BaseException as error:
            status = ["error", _describe(error)]
        finally:
            sys.settrace(None)
        self._report["tests"][test] = status
        if hits:
            self._report["lines"][test] = {path: sorted(lines) for path, lines in hits.items()}

    def _tracer(self, hits: Dict[str, set]) -> Callable:
        traced = self._traced

        def local(frame: types.FrameType, event: str, _: Any) -> Callable:
            if event == "line":
                hits[traced[frame.f_code.co_filename]].add(frame.f_lineno)
            return local

        def enter(frame: types.FrameType, event: str, _: Any) -> Optional[Callable]:
            path = traced.get(frame.f_code.co_filename)
            if path is None:
                return None
            hits.setdefault(path, set())
            return local

        return enter


def _needs_nothing(function: types.FunctionType) -> bool:
    """Whether a plain test can be called as it is."""
    required = function.__code__.co_argcount - len(function.__defaults__ or ())
    return required <= 0


def _needs_fixtures() -> None:
    raise unittest.SkipTest("it takes fixtures, which only pytest has")


def _run_unittest(case: unittest.TestCase) -> list:
    """One test of a TestCase, with setUp, tearDown and subtests."""
    result = unittest.TestResult()
    case.run(result)
    if result.testsRun != 1 and not result.skipped:
        return ["error", "the test did not run"]
    for faults, status in ((result.errors, "error"), (result.failures, "failed")):
        if faults:
            return [status, _last(faults[0][1])]
    if result.unexpectedSuccesses:
        return ["failed", "it passed, although marked as an expected failure"]
    if result.skipped:
        return ["skipped", str(result.skipped[0][1])]
    return ["expected_failure", ""] if result.expectedFailures else ["passed", ""]


def _last(text: str) -> str:
    """What a traceback ends with."""
    at = max(text.rfind("\nAssertionError"), text.rfind("\nTraceback"))
    tail = text[at + 1 :] if text.rfind("\nAssertionError") >= 0 else text
    return tail.strip()[-_DETAIL_CHARS:]


def _describe(error: BaseException) -> str:
    where = ""
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not name.endswith("sealed.py") and "importlib" not in name:
            where = f" ({os.path.basename(name)}, line {trace.tb_lineno})"
        trace = trace.tb_next
    try:
        said = str(error)
    except Exception:
        said = "(it cannot be shown)"
    return f"{type(error).__name__}: {said}"[:_DETAIL_CHARS] + where


if __name__ == "__main__":
    main()
