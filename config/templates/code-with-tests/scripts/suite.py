"""The test file: written by code from cases, each of which must be able to fail."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import List, Optional

from bench import Bench
from cases import CaseRefused, CaseWriter, test_file, top_level_names
from given import Given
from request import Request

_CASES_MAX = 30
# The tests are part of a step's output, which is where the contract reads them.
_TESTS_BYTES_MAX = 30_000


@dataclass
class Suite:
    """The tests of one module."""

    path: str
    text: Optional[str] = None
    origins: List[str] = field(default_factory=list)
    refused: List[str] = field(default_factory=list)
    withdrawn: List[str] = field(default_factory=list)


def build_suite(request: Request, given: Given, code: Optional[str]) -> Suite:
    """The tests that can fail; `code` says what there is to test."""
    path = f"test_{given.module}.py"
    if path in given.tests:
        path = f"test_{given.module}_cases.py"
    suite = Suite(path)
    names = top_level_names(code or "") or [name for name, _ in given.signatures]
    writer = CaseWriter({given.module: names})
    methods: List[str] = []
    for origin, case in _cases(request, given, suite):
        said = str(case.get("expression"))[:80]
        try:
            method = writer.method(case, len(methods) + 1)
            if len(json.dumps([*methods, method])) > _TESTS_BYTES_MAX:
                raise CaseRefused("there are enough")
            methods.append(method)
            suite.origins.append(origin)
        except CaseRefused as why:
            suite.refused.append(f"{said}: {why}")
    _drop_vacuous(given, suite, methods, code or _stub(given))
    return suite


def _cases(request: Request, given: Given, suite: Suite) -> list:
    cases = given.sure_cases()
    answer = request.output("cases")
    if isinstance(answer, dict) and not request.is_small_model():
        own = list(answer.get("cases") or [])
        for number in _withdrawn(request, len(own)):
            suite.withdrawn.append(str(own[number].get("expression"))[:80])
            own[number] = None
        cases += [("the model", case) for case in own if case]
    return cases[:_CASES_MAX]


def _withdrawn(request: Request, count: int) -> List[int]:
    """Cases that the model itself takes back as wrong: at most a quarter of its own."""
    again = request.output("code_again")
    numbers = again.get("wrong_cases") if isinstance(again, dict) else None
    fitting = [number - 1 for number in numbers or [] if isinstance(number, int) and 1 <= number <= count]
    return sorted(set(fitting))[: count // 4]


def _drop_vacuous(given: Given, suite: Suite, methods: List[str], code: str) -> None:
    """Leaves out what passes although the code does nothing."""
    title = f"Tests of {given.module}."
    name = f"Test{given.module.title().replace('_', '')}"
    suite.text = test_file(methods, title, name)
    if suite.text is None:
        return
    with Bench(given, suite.path, suite.text) as bench:
        passing = {test.rsplit("_", 1)[-1] for test in bench.vacuous(code) if test.startswith(f"{suite.path}::")}
    kept = [number for number in range(len(methods)) if str(number + 1) not in passing]
    suite.refused += [
        f"test {number}: it passes when every function only raises" for number in sorted(passing, key=int)
    ]
    suite.origins = [suite.origins[number] for number in kept]
    renumbered = [
        methods[old].replace(f"def test_{old + 1}(", f"def test_{new}(", 1) for new, old in enumerate(kept, 1)
    ]
    suite.text = test_file(renumbered, title, name)


def _stub(given: Given) -> str:
    functions = [f"def {name}({', '.join(parameters)}):\n    pass\n" for name, parameters in given.signatures]
    return "\n".join(functions) or "def nothing():\n    pass\n"
