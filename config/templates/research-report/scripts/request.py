"""The request a step was started with, and the way a script ends.

The engine passes the path of a JSON file in the environment variable
NINJA_REQUEST: the goal, the parameters, the input files and the output of
earlier steps. Nothing here knows about CSV files or analysis.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Callable


class Failure(Exception):
    """A fault the person can act on; its message becomes the step's error."""


class Request:
    """Read access to the request file."""

    def __init__(self, document: dict) -> None:
        self.goal: str = document.get("goal") or ""
        self.params: dict = document.get("params") or {}
        self.inputs: list = document.get("inputs") or []
        self.provider: dict = document.get("provider") or {}
        self._steps: dict = document.get("steps") or {}

    def output(self, step_id: str) -> Any:
        """The output of an earlier step, or None when it has none."""
        return self._steps.get(step_id, {}).get("output")

    def status(self, step_id: str) -> str:
        """How an earlier step ended; "missing" when it never ran."""
        return self._steps.get(step_id, {}).get("status", "missing")

    def model(self) -> str:
        """The provider and model as one label for a report."""
        provider = self.provider.get("name") or "unnamed provider"
        model = self.provider.get("model")
        return f"{provider} / {model}" if model else provider

    def is_small_model(self) -> bool:
        """Whether the one that writes is known to state falsehoods fluently."""
        return "small local model" in (self.provider.get("label") or "")

    def only_input(self) -> dict:
        """The single input file of this template."""
        if len(self.inputs) != 1:
            raise Failure(f"expected one input file, found {len(self.inputs)}")
        return self.inputs[0]


def load_request() -> Request:
    """Reads the file that NINJA_REQUEST names."""
    path = os.environ.get("NINJA_REQUEST")
    if not path:
        raise Failure("NINJA_REQUEST is not set")
    with open(path, encoding="utf-8") as handle:
        return Request(json.load(handle))


def run_step(step: Callable[[Request], Any]) -> None:
    """Runs a step and prints its output as JSON; a Failure exits with 1."""
    try:
        output = step(load_request())
    except Failure as failure:
        print(failure, file=sys.stderr)
        sys.exit(1)
    json.dump(output, sys.stdout)
