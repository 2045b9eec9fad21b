"""What the person said about the fault: the goal and the text files beside the code."""

from __future__ import annotations

import json
from typing import List

from request import Failure, Request
from workbench import is_description

_TEXT_BYTES_MAX = 256 << 10
_SHOWN_CHARS = 4_000


def description(request: Request) -> str:
    """The whole description as one text."""
    parts = [request.goal.strip()]
    for item in request.inputs:
        if is_description(item["name"]):
            with open(item["path"], "rb") as handle:
                data = handle.read(_TEXT_BYTES_MAX)
            if b"\0" in data:
                raise Failure(f"{item['name']} is not text")
            parts.append(data.decode("utf-8", errors="replace").strip())
    return "\n\n".join(part for part in parts if part)


def shown(text: str, chars_max: int = _SHOWN_CHARS) -> str:
    """A text for a prompt, cut where it is long."""
    return fit(text if len(text) <= chars_max else text[:chars_max] + "\n[cut]", 3 * chars_max)


def fit(text: str, bytes_max: int) -> str:
    """A text cut to what it takes in a step's output, where each letter beyond ASCII takes six bytes."""
    size = len(json.dumps(text))
    return text if size <= bytes_max else text[: len(text) * bytes_max // size]


def bullet_lines(failing: List[str], detail, count_max: int = 6, chars_max: int = 300) -> str:
    """Failing tests with what they said."""
    lines = []
    for test in failing[:count_max]:
        said = " ".join(str(detail(test)).split())
        lines.append(f"- {test}: {said if len(said) <= chars_max else '…' + said[-chars_max:]}")
    if len(failing) > count_max:
        lines.append(f"- and {len(failing) - count_max} more")
    return "\n".join(lines)
