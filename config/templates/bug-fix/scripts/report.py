"""The report about one fault and its fix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional

from reading import description
from request import Request
from runner import Outcome

_TOLD_CHARS = 1_500


@dataclass
class Attempt:
    """Who tried, why it was no fix, and what they said."""

    by: str
    why_not: Optional[str]
    note: str


def report_text(request: Request, red: dict, baseline: Outcome, attempts: List[Attempt], patch: str) -> str:
    """The whole report."""
    title = request.params.get("title") or "Bug fix"
    fixed = bool(patch)
    lines = [f"# {_line(title)}", "", "## The fault", "", *_quoted(description(request)), ""]
    lines += ["## The result", "", _result(baseline, attempts, fixed), ""]
    lines += ["## Red: what failed before", "", *_red_lines(red, baseline), ""]
    if fixed:
        lines += ["## The change", "", *_fenced(patch, "diff"), ""]
    lines += ["## Attempts", "", *_attempt_lines(request, attempts), ""]
    lines += ["## Where the fault shows", "", *_suspect_lines(red), ""]
    lines += ["## How it was judged", "", *_judgement(red)]
    return "\n".join(lines) + "\n"


def _result(baseline: Outcome, attempts: List[Attempt], fixed: bool) -> str:
    count, failing = len(baseline.tests), len(baseline.failing())
    if not fixed:
        return f"**Not fixed.** {failing} of {count} tests fail, and no change was found that makes all of them pass."
    return f"**Fixed by {attempts[-1].by}.** {failing} of {count} tests failed before; all {count} pass now."


def _red_lines(red: dict, baseline: Outcome) -> List[str]:
    lines = [f"- `{_line(test)}`: {_code(baseline.tests[test][1])}" for test in baseline.failing()[:20]]
    if red["aside"]:
        aside = f"{len(red['aside'])} examples in docstrings failed as well"
        lines.append(f"- {aside}. They may be out of date, so they are no condition, but they decide between fixes.")
    reproduction = red["reproduction"]
    if reproduction:
        origin = " and ".join(reproduction["origins"])
        lines += ["", f"`{reproduction['path']}` was written from {origin}, before any change:", ""]
        lines += _fenced(reproduction["text"], "python")
    if red["refused"]:
        lines += ["", "Refused as tests of this fault:", "", *(f"- {_code(why)}" for why in red["refused"][:10])]
    return lines


def _attempt_lines(request: Request, attempts: List[Attempt]) -> List[str]:
    lines = []
    for attempt in attempts:
        who = f"the model ({request.model()})" if attempt.by == "the model" else attempt.by
        became = "mends the fault" if attempt.why_not is None else f"is no fix: {_code(attempt.why_not)}"
        note = f" {_code(attempt.note)}" if attempt.note and attempt.by == "the model" else f" {attempt.note}"
        lines.append(f"- What {who} proposed {became}.{note.rstrip()}")
    return lines or ["- None."]


def _suspect_lines(red: dict) -> List[str]:
    lines = ["| file | line | suspicion | code |", "| --- | ---: | ---: | --- |"]
    for suspect in red["suspects"]:
        code = _code(suspect["text"]).replace("|", "\\|")
        lines.append(f"| {_line(suspect['path'])} | {suspect['line']} | {suspect['score']} | {code} |")
    return lines


def _judgement(red: dict) -> List[str]:
    lines = [
        "- Every test that was there or was written for the fault ran in a process of its own and was counted; an exit code alone proves nothing.",
        f"- Tests are unchanged since they failed. SHA-256 of all {red['judges']['count']} test files: {red['judges']['sha256']}; of each:",
        *(f"    - `{_line(path)}` {digest}" for path, digest in sorted(red["judges"]["files"].items())),
        "- Changes that touch tests, end or inspect the process, or answer a test's own input are refused.",
        "- That tests pass does not prove that nothing else is wrong. Read the change before you use it.",
    ]
    return lines


def _quoted(text: str) -> List[str]:
    cut = text if len(text) <= _TOLD_CHARS else text[:_TOLD_CHARS] + " […]"
    return _fenced(cut, "text")


def _fenced(text: str, kind: str) -> List[str]:
    """A code block whose fence is longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return [f"{fence}{kind}", *text.rstrip("\n").split("\n"), fence]


def _code(text: str) -> str:
    """Text from elsewhere as inline code on one line."""
    line = " ".join(str(text).split())[:400]
    fence = "`"
    while fence in line:
        fence += "`"
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else ""


def _line(text: str) -> str:
    return " ".join(str(text).split()).replace("`", "'").replace("<", "&lt;").replace("|", "\\|")
