"""Step 2: a test that fails on the present code, before anything is changed.

Given tests that fail are one. Else the examples of the description are, and
else a model's cases: those that fail are kept as they are, the others dropped.
Without a failing test the task ends here.

Output: the failing tests, the test file that was written, the hashes of all
that judges, and what a model needs to propose a fix.
"""

from __future__ import annotations

import hashlib
import json
from typing import List, Optional, Tuple

from cases import CaseRefused, CaseWriter, test_file, top_level_names
from docstrings import module_name
from reading import bullet_lines, description, fit, shown
from request import Failure, Request, run_step
from runner import Outcome
from suspects import excerpt, rank_lines
from workbench import Workbench

_CODE_CHARS = 10_000
_CODE_CHARS_SMALL = 1_500
_OUTPUT_BYTES = 20_000
_SUSPECTS = 12
_CASES_MAX = 12
_TESTS_BYTES_MAX = 12_000


def red(request: Request) -> dict:
    """The whole output of the step."""
    prepared = request.output("prepare")
    with Workbench(request) as bench:
        reproduction, refused = _reproduce(request, bench, prepared)
        if reproduction:
            bench.add_tests(reproduction["path"], reproduction["text"])
        baseline = bench.baseline(trace=True)
        failing = baseline.failing()
        if not failing:
            raise Failure(_no_failing_test(request, refused))
        sources = {path: bench.originals[path] for path in bench.project.sources}
        ranked = rank_lines(baseline, sources)
        small = request.is_small_model()
        return {
            "reproduction": reproduction,
            "refused": [why[:300] for why in refused],
            "failing": failing[:50],
            "failures": bullet_lines(failing, baseline.detail, 3 if small else 8, 200 if small else 500),
            "judges": bench.judges(),
            "suspects": _suspects(ranked, sources),
            "description": shown(description(request), 400 if small else 4_000),
            "code": fit(excerpt(ranked, sources, _CODE_CHARS_SMALL if small else _CODE_CHARS), _OUTPUT_BYTES),
            "schema": _schema(ranked, sources, small),
        }


# The failing test


def _reproduce(request: Request, bench: Workbench, prepared: dict) -> Tuple[Optional[dict], List[str]]:
    """A test file of the cases that fail, and why others were refused."""
    answer = request.output("reproduce")
    asked = answer.get("cases", []) if isinstance(answer, dict) else []
    cases = [("the description", case) for case in prepared["examples"]] + [("the model", case) for case in asked]
    modules = {
        module_name(path): top_level_names(bench.originals[path])
        for path in bench.project.sources
        if module_name(path) is not None
    }
    writer = CaseWriter(modules)
    methods: List[str] = []
    refused: List[str] = []
    origins = []
    for origin, case in cases[:_CASES_MAX]:
        said = str(case.get("expression"))[:80]
        try:
            method = writer.method(case, len(methods) + 1)
        except CaseRefused as why:
            refused.append(f"{said}: {why}")
            continue
        if len(json.dumps([*methods, method])) > _TESTS_BYTES_MAX:
            refused.append(f"{said}: there are enough")
            continue
        why = _no_reproduction(bench, method, len(methods) + 1)
        if why:
            refused.append(f"{said}: {why}")
        else:
            methods.append(method)
            origins.append(origin)
    text = test_file(methods, "The fault, as tests that failed before it was mended.", "Reproduction")
    if text is None:
        return None, refused
    path = _free_name(bench)
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return {"path": path, "text": text, "sha256": digest, "origins": sorted(set(origins))}, refused


def _free_name(bench: Workbench) -> str:
    names = ["test_reproduction.py", *(f"test_reproduction_{number}.py" for number in range(2, 100))]
    return next(name for name in names if name not in bench.originals)


def _no_reproduction(bench: Workbench, method: str, number: int) -> Optional[str]:
    """Why a case shows no fault of the present code; None when it does."""
    path = _free_name(bench)
    bench.restore()
    bench.project.write(path, test_file([method], "One case.", "Reproduction"))
    test = f"{path}::Reproduction::test_{number}"
    outcome: Outcome = bench.run(files=[path], seconds=10.0)
    if outcome.end == "timeout":
        return None
    status, detail = outcome.tests.get(test, ["missing", "it did not run"])
    if status == "passed":
        return "the present code passes it"
    if status == "failed":
        return None
    # What breaks in the case itself shows nothing about the code.
    last = detail.rsplit('File "', 1)[-1]
    if path in last and not _waits_for_exception(method):
        return f"it breaks by itself: {detail.strip().splitlines()[-1][:120]}"
    return None


def _waits_for_exception(method: str) -> bool:
    return "assertRaises" in method


def _no_failing_test(request: Request, refused: List[str]) -> str:
    why = "no test fails on the present code, so there is nothing that a fix could be judged by"
    if request.is_small_model():
        why += "; a small local model is not trusted to write that test"
    if refused:
        why += f" (refused: {'; '.join(refused[:3])})"
    return f"{why}. Give a failing test, or an example in the description, such as: f(2) should be 4"


# What a model needs


def _suspects(ranked: list, sources: dict) -> List[dict]:
    return [
        {"path": path, "line": line, "score": round(score, 3), "text": _line(sources, path, line).strip()[:120]}
        for (path, line), score in ranked[:_SUSPECTS]
    ]


def _line(sources: dict, path: str, line: int) -> str:
    lines = sources[path].split("\n")
    return lines[line - 1] if line <= len(lines) else ""


def _schema(ranked: list, sources: dict, small: bool) -> dict:
    """The schema of a proposal; a small model picks the line from a list."""
    paths = list(dict.fromkeys(path for (path, _), _ in ranked))[:50]
    find: dict = {
        "type": "string",
        "maxLength": 4_000,
        "description": "Text of the file, copied exactly; it stands there once",
    }
    replace: dict = {"type": "string", "maxLength": 4_000, "description": "What stands there instead"}
    if small:
        lines = [_line(sources, path, line).strip() for (path, line), _ in ranked[:100]]
        lines = [line for line in lines if len(line) <= 200]
        find = {"type": "string", "enum": list(dict.fromkeys(line for line in lines if line))[:8] or ["return"]}
        replace = {"type": "string", "maxLength": 100}
    edit = {
        "type": "object",
        "properties": {"path": {"type": "string", "enum": paths}, "find": find, "replace": replace},
        "required": ["path", "find", "replace"],
        "additionalProperties": False,
    }
    edits = {"type": "array", "minItems": 1, "maxItems": 1 if small else 20, "items": edit}
    properties: dict = {"edits": edits}
    if not small:
        properties = {"cause": {"type": "string", "maxLength": 1_000}, **properties}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


if __name__ == "__main__":
    run_step(red)
