"""Step 1: reads what was given and says what a model has to write.

Output: the specification, the module's name, the schema of the code, and the
cases that need no model.
"""

from __future__ import annotations

from given import Given, fit, read_given
from known import bodies
from request import Request, run_step

_SHOWN_BYTES = 20_000
_CODE = {
    "type": "object",
    "properties": {"code": {"type": "string", "maxLength": 24_000, "description": "The whole text of the module"}},
    "required": ["code"],
    "additionalProperties": False,
}


def brief(request: Request) -> dict:
    """The whole output of the step."""
    given = read_given(request)
    small = request.is_small_model()
    choices = bodies(given.signatures[0]) if small and len(given.signatures) == 1 and not given.code else []
    return {
        "module": given.module,
        "path": given.path(),
        "specification": fit(given.specification(), 600 if small else _SHOWN_BYTES),
        "given": fit(_given_text(given), 1_000 if small else _SHOWN_BYTES),
        "signatures": [f"{name}({', '.join(parameters)})" for name, parameters in given.signatures],
        "schema": _choice_schema(choices) if choices else _CODE,
        "task": _task(given, choices),
        "sure_cases": len(given.sure_cases()),
    }


def _choice_schema(choices: list) -> dict:
    return {
        "type": "object",
        "properties": {"expression": {"type": "string", "enum": choices}},
        "required": ["expression"],
        "additionalProperties": False,
    }


def _task(given: Given, choices: list) -> str:
    if choices:
        name, parameters = given.signatures[0]
        return (
            f"Choose what {name}({', '.join(parameters)}) returns. Example: for a function half(x) that returns x divided "
            'by two the answer is {"expression": "x / 2"}'
        )
    return (
        f"Write the Python module {given.path()}. Use only the standard library. Give each function a docstring of one line. "
        'Example: {"code": "def half(x):\\n    \\"\\"\\"Half of a number.\\"\\"\\"\\n    return x / 2\\n"}'
    )


def _given_text(given: Given) -> str:
    """The given files as a prompt shows them, the module itself first."""
    files = sorted(given.code.items(), key=lambda item: item[0] != given.path()) + sorted(given.tests.items())
    return "\n\n".join(f"# {path}\n{text.strip()}" for path, text in files) or "(none)"


if __name__ == "__main__":
    run_step(brief)
