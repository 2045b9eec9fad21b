"""The implementations that there are to choose among."""

from __future__ import annotations

import ast
from typing import List, Optional, Tuple

from given import Given
from known import bodies
from request import Request


def first_code(request: Request, given: Given) -> Optional[str]:
    """The model's first code, if it is Python."""
    found = candidates(request, given, ("code",))
    return found[0][1] if found else None


def candidates(
    request: Request, given: Given, steps: Tuple[str, ...] = ("code_again", "code")
) -> List[Tuple[str, str]]:
    """(whose it is, text) in the order in which they are tried."""
    found: List[Tuple[str, str]] = []
    for step in steps:
        answer = request.output(step)
        if not isinstance(answer, dict):
            continue
        if isinstance(answer.get("code"), str):
            found.append(("the model", _tidy(answer["code"])))
        elif isinstance(answer.get("expression"), str) and given.signatures:
            found.append(("the model's choice", _function(given, answer["expression"])))
    if request.is_small_model() and len(given.signatures) == 1 and not given.code:
        choices = [("the list of candidates", _function(given, body)) for body in bodies(given.signatures[0])]
        found += [choice for choice in choices if choice[1] not in [text for _, text in found]]
    return [(whose, text) for whose, text in found if _is_python(text)]


def _function(given: Given, expression: str) -> str:
    name, parameters = given.signatures[0]
    return f"def {name}({', '.join(parameters)}):\n    return {expression}\n"


def _tidy(code: str) -> str:
    """A module's text without the fence that models like to put around it."""
    lines = code.strip("\n").split("\n")
    if lines and lines[0].startswith("```"):
        lines = lines[1 : -1 if lines[-1].startswith("```") else None]
    return "\n".join(lines).rstrip() + "\n"


def _is_python(text: str) -> bool:
    try:
        return bool(ast.parse(text).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
