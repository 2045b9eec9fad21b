"""Step 2: what the code offers, without how it does it, for whoever writes its tests."""

from __future__ import annotations

from bench import functions_of
from candidates import first_code
from cases import CASE_SCHEMA
from given import fit, read_given
from request import Request, run_step


def outline(request: Request) -> dict:
    """The whole output of the step."""
    given = read_given(request)
    signatures = functions_of(first_code(request, given) or "")
    declared = [f"def {name}({', '.join(parameters)})" for name, parameters in given.signatures]
    shown = signatures or declared
    # A small model's idea of what is right proves nothing, and given tests need no company.
    ask = bool(shown) and not request.is_small_model() and not given.tests
    return {"signatures": fit("\n".join(shown), 12_000), "ask_for_cases": ask, "schema": CASE_SCHEMA}


if __name__ == "__main__":
    run_step(outline)
