"""Step 1: lays the project out, runs its tests, and says whether one fails.

Output: what was given, which tests fail, whether a failing test has yet to be
written, and what a model needs to write it.
"""

from __future__ import annotations

from cases import CASE_SCHEMA, top_level_names
from docstrings import module_name
from examples import find_examples
from reading import bullet_lines, description, fit, shown
from request import Failure, Request, run_step
from workbench import Workbench

_CODE_CHARS = 12_000
_OUTPUT_BYTES = 24_000


def prepare(request: Request) -> dict:
    """The whole output of the step."""
    told = description(request)
    if not told:
        raise Failure("say what is wrong: the goal is empty")
    with Workbench(request) as bench:
        baseline = bench.baseline()
        failing = baseline.failing()
        sources = {path: bench.originals[path] for path in bench.project.sources}
        names = {name for text in sources.values() for name in top_level_names(text)}
        examples = find_examples(told, names)
        needs_test = not failing
        return {
            "sources": len(sources),
            "test_files": bench.project.tests[:50],
            "tests": len(baseline.tests),
            "failing": failing[:50],
            "one_by_one": bench.one_by_one,
            "failures": bullet_lines(failing, baseline.detail),
            "examples": examples[:12],
            "ask_for_test": needs_test and not request.is_small_model(),
            "schema": CASE_SCHEMA,
            "description": shown(told),
            "code": fit(_code(sources), _OUTPUT_BYTES),
        }


def _code(sources: dict) -> str:
    """The project's code as a prompt shows it, whole files first."""
    shown_files, left = [], _CODE_CHARS
    for path, text in sorted(sources.items(), key=lambda item: len(item[1])):
        if module_name(path) is None:
            continue
        piece = f"# {path}\n{text.strip()}"
        if len(piece) > left:
            shown_files.append(piece[:left] + "\n# [cut]" if left > 200 else f"# {path} is left out")
            left = 0
            continue
        shown_files.append(piece)
        left -= len(piece)
    return "\n\n".join(shown_files)


if __name__ == "__main__":
    run_step(prepare)
