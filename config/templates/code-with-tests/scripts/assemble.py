"""Step 3: the first meeting of code and tests.

Output: whether it passes, and what to tell the model where it does not.
"""

from __future__ import annotations

from bench import Bench
from candidates import candidates, first_code
from given import fit, read_given
from request import Request, run_step
from suite import build_suite

_TOLD_BYTES = 6_000


def assemble(request: Request) -> dict:
    """The whole output of the step."""
    given = read_given(request)
    suite = build_suite(request, given, first_code(request, given))
    found = candidates(request, given, ("code",))
    with Bench(given, suite.path, suite.text) as bench:
        code = found[0][1] if found else ""
        why = (bench.fault_of(code) or bench.weakness(code)) if found else "no code that is Python was written"
    return {
        "green": why is None,
        "again": why is not None and not request.is_small_model(),
        "told": fit(why or "", _TOLD_BYTES),
        "tests": fit(suite.text or "(none)", 16_000),
        "code": fit(code, 24_000),
        "schema": _schema(request),
    }


def _schema(request: Request) -> dict:
    """The schema of the second answer: code, and which of its own cases the model takes back."""
    brief = request.output("brief")["schema"]
    properties = dict(brief["properties"])
    if "code" in properties:
        properties["wrong_cases"] = {"type": "array", "maxItems": 12, "items": {"type": "integer", "minimum": 1}}
    return {**brief, "properties": properties}


if __name__ == "__main__":
    run_step(assemble)
