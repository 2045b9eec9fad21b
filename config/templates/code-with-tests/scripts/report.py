"""The report about one module and its tests."""

from __future__ import annotations

from typing import List, Optional, Tuple

from given import Given
from request import Request
from suite import Suite


def report_text(
    request: Request,
    given: Given,
    suite: Suite,
    chosen: Optional[Tuple[str, str]],
    tried: List[Tuple[str, str]],
    score: tuple,
) -> str:
    """The whole report."""
    lines = ["# Code with tests", "", *_fenced(given.goal), "", "## Result", ""]
    if chosen:
        lines.append(f"**`{given.path()}` passes its tests.** It comes from {_whose(request, chosen[0])}.")
    else:
        lines.append(f"**`{given.path()}` does not pass.** Nothing that was written can be called done.")
    lines += ["", "## Tests", "", *_test_lines(given, suite)]
    if score[1]:
        lines.append(f"- Of {score[1]} small changes made to the code, the tests notice {score[0]}.")
    if suite.refused:
        lines += ["", "Refused as tests:", "", *(f"- {_code(why)}" for why in suite.refused)]
    if suite.withdrawn:
        lines += ["", "Taken back by the model as wrong:", "", *(f"- {_code(case)}" for case in suite.withdrawn)]
    if tried:
        lines += ["", "## What did not pass", "", *(f"- {who}: {_code(why)}" for who, why in tried[:10])]
        if len(tried) > 10:
            lines.append(f"- and {len(tried) - 10} more")
    lines += [
        "",
        "## How it was judged",
        "",
        "- Tests ran in a process of their own and were counted; an exit code alone proves nothing.",
        "- A test that passes when the code does nothing is refused, and so are tests that notice little.",
        "- Tests show that these cases work, not that all do.",
    ]
    return "\n".join(lines) + "\n"


def _whose(request: Request, who: str) -> str:
    if who == "the list of candidates":
        return "a list of common expressions; the tests chose it, because the model's choice did not pass"
    return f"{who} ({_plain(request.model())})"


def _test_lines(given: Given, suite: Suite) -> List[str]:
    lines = [f"- `{path}` was given and is unchanged." for path in sorted(given.tests)]
    for origin in dict.fromkeys(suite.origins):
        count = suite.origins.count(origin)
        lines.append(f"- {count} in `{suite.path}` from {origin}.")
    return lines or ["- None: nothing says what is right. State an example, such as: f(2) should be 4."]


def _fenced(text: str) -> List[str]:
    fence = "```"
    while fence in text:
        fence += "`"
    return [f"{fence}text", *text.strip().split("\n"), fence]


def _code(text: str) -> str:
    line = " ".join(text.split())[:400]
    fence = "`"
    while fence in line:
        fence += "`"
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("`", "'").replace("<", "&lt;")
