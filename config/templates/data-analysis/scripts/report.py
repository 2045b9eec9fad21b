"""Step 5: checks the model's prose and writes report.md.

Output: the answer in words, the report's file name, how many sentences were
kept and struck, and what could not be answered.
"""

from __future__ import annotations

import json
from typing import List, Optional

from document import bullets, plain, table
from figures import format_number, plural, shorten
from prose import Checker, Verdict
from request import Failure, Request, run_step

_ROWS_SHOWN = 20
_DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_DECIMAL_NAMES = {".": "point", ",": "comma"}
_NO_MATCH = (
    "No word of the question matches a column or a value of this file. "
    "Any figure above is the closest the operations give, not an answer."
)


def report(request: Request) -> dict:
    """The whole output of the step, and report.md."""
    profile = request.output("profile")
    if not isinstance(profile, dict):
        raise Failure("the file was not profiled")
    analysis = _load_analysis()
    verdicts = _judge(request, profile, analysis)
    limits = _limits(profile, analysis)
    lines = _head(request, profile, analysis)
    lines += _result_lines(analysis)
    lines += _prose_lines(request, verdicts)
    lines += _section("What could not be answered", bullets(limits) or ["Nothing was left out."])
    lines += _section("How the question was read", bullets(_reading(request, profile, analysis)))
    lines += _data_notes(profile)
    with open("report.md", "w", encoding="utf-8") as handle:
        handle.write("\n".join(lines).rstrip() + "\n")
    struck = sum(verdict.reason is not None for verdict in verdicts)
    answer = _answer(profile, analysis)
    return {"answer": answer, "report": "report.md", "kept": len(verdicts) - struck, "struck": struck, "limits": limits}


def _load_analysis() -> dict:
    try:
        with open("analysis.json", encoding="utf-8") as handle:
            return json.load(handle)
    except FileNotFoundError:
        raise Failure("analysis.json is missing: the computation did not run")


def _section(title: str, lines: List[str]) -> List[str]:
    return [f"## {title}", "", *lines, ""]


# The answer


def _answer(profile: dict, analysis: dict) -> str:
    """What code says from the table: always right, or clear about what is missing."""
    result = analysis.get("result")
    answer = " ".join(result["sentences"]) if result else "The question could not be answered from this file."
    if result and not profile["reading"]["matched_any"]:
        answer = f"{_NO_MATCH.split('. ')[0]}. The closest figure: {answer}"
    return answer


def _head(request: Request, profile: dict, analysis: dict) -> List[str]:
    file = profile["file"]
    title = request.params.get("title") or f"Analysis of {file['name']}"
    answer = _answer(profile, analysis)
    size = f"{plural(file['rows'], 'row')}, {plural(file['columns'], 'column')}"
    return [
        f"# {plain(title)}",
        "",
        f"**Question:** {plain(request.goal)}",
        "",
        f"**Answer:** {plain(answer)}",
        "",
        f"Computed from {plain(file['name'])} ({size}).",
        "",
    ]


def _result_lines(analysis: dict) -> List[str]:
    result = analysis.get("result")
    if not result:
        return []
    title = plain(result["title"])
    lines = [f"## {title}", "", f"![Chart: {title}](chart.svg)", ""]
    lines += table(result["columns"], result["rows"][:_ROWS_SHOWN]) + [""]
    hidden = result["rows_total"] - _ROWS_SHOWN
    if hidden > 0:
        lines += [f"{plural(hidden, 'more row')} in [table.csv](table.csv).", ""]
    if result["notes"]:
        lines += bullets(result["notes"]) + [""]
    return lines


# The model's prose


def _judge(request: Request, profile: dict, analysis: dict) -> List[Verdict]:
    prose, result = request.output("write"), analysis.get("result")
    if not isinstance(prose, str) or not result:
        return []
    chosen = {analysis["choice"]["value_column"], analysis["choice"]["by_column"]}
    used = [column for column in profile["columns"] if column["label"] in chosen]
    names = [profile["file"]["name"]] + [name for c in profile["columns"] for name in (c["name"], c["label"])]
    names += [condition["label"] for condition in profile["conditions"]]
    names += [str(c[end]) for c in used if c["kind"] == "date" for end in ("min", "max")]
    checker = Checker(result, _profile_facts(profile, used), names, needs_figure=request.is_small_model())
    return checker.check(prose)


def _profile_facts(profile: dict, used: List[dict]) -> List[float]:
    """The figures of the profile that prose may mention."""
    file = profile["file"]
    facts = [file["rows"], file["columns"], file["missing_cells"]]
    for column in used:
        facts += [column["missing"], column["present"], column["distinct"]]
        facts += [column.get(name) for name in ("min", "max", "mean")]
    facts += [c["value"] for c in profile["conditions"]]
    return [fact for fact in facts if isinstance(fact, (int, float))]


def _prose_lines(request: Request, verdicts: List[Verdict]) -> List[str]:
    kept = [plain(verdict.sentence) for verdict in verdicts if verdict.reason is None]
    struck = [
        f"- ~~{plain(verdict.sentence)}~~ {plain(verdict.reason)}."
        for verdict in verdicts
        if verdict.reason is not None
    ]
    lines = [f"Written by {plain(request.model())}; every number was checked against the figures above.", ""]
    if not verdicts:
        lines = [_no_prose(request)]
    elif not kept:
        lines.append("No sentence passed the check.")
    else:
        lines.append(" ".join(kept))
    if struck:
        lines += ["", "Struck by the check:", "", *struck]
    return _section("In words", lines)


def _no_prose(request: Request) -> str:
    status = request.status("write")
    return "The model wrote nothing." if status == "succeeded" else f"No prose: the writing step was {status}."


# What was read, and what was not


def _limits(profile: dict, analysis: dict) -> List[str]:
    reading = profile["reading"]
    limits = list(analysis["limits"]) + reading["limits"]
    if profile["file"]["rows"] == 0:
        limits.append("The file has no rows, so there is nothing to compute from.")
    if not reading["matched_any"]:
        limits.append(_NO_MATCH)
    if reading["unmatched"]:
        said = ", ".join(f'"{shorten(word, 40)}"' for word in reading["unmatched"][:20])
        limits.append(f"These words of the question were not used: {said}.")
    return limits


def _reading(request: Request, profile: dict, analysis: dict) -> List[str]:
    """The evidence, then what was left to the model and what it chose."""
    notes = [f"{note[0].upper()}{note[1:]}." for note in profile["reading"]["notes"]]
    notes.append(
        "The question is matched by its words against column names, text values and a list of "
        "English phrases; nothing else about it is understood."
    )
    choice = analysis["choice"]
    if choice is None:
        return notes
    for field, count in profile["reading"]["open_fields"].items():
        notes.append(f"The words left {count} readings of {field}.")
    chosen = ", ".join(f"{name} {value}" for name, value in choice.items())
    by = analysis["chosen_by"]
    who = f"the model ({request.model()})" if by == "the model" else by
    notes.append(f"Chosen by {who}: {chosen}.")
    return notes


def _data_notes(profile: dict) -> List[str]:
    file = profile["file"]
    facts = [
        f"File: {file['name']}" + ("" if file["bytes"] is None else f", {file['bytes']:,} bytes"),
        f"SHA-256: {file['sha256'] or 'not given'}",
        f"{plural(file['rows'], 'row')}, {plural(file['columns'], 'column')}"
        + ("" if file["header"] else "; no header line, so columns were numbered"),
        f"Encoding {file['encoding']}, delimiter {_DELIMITER_NAMES.get(file['delimiter'], file['delimiter'])}, "
        f"decimal {_DECIMAL_NAMES[file['decimal']]}",
        f"{plural(file['missing_cells'], 'missing value')} (empty, NA, null, -, ? and the like)",
        f"Ragged rows: {file['short_rows']:,} too short (filled with gaps), {file['long_rows']:,} too long (cut)",
    ]
    if file["blank_lines"]:
        facts.append(f"{plural(file['blank_lines'], 'blank line')} skipped")
    rows = [_column_row(column) for column in profile["columns"]]
    lines = bullets(facts) + [""] + table(["column", "kind", "missing", "distinct", "values"], rows)
    hidden = file["columns"] - len(profile["columns"])
    if hidden > 0:
        lines += ["", f"{plural(hidden, 'more column')} not listed."]
    return _section("The data", lines)


def _column_row(column: dict) -> list:
    distinct = "many" if column["distinct"] is None else column["distinct"]
    return [column["name"], column["kind"], column["missing"], distinct, _values_of(column)]


def _values_of(column: dict) -> Optional[str]:
    if column["kind"] in ("number", "integer"):
        ends = [column["min"], column["max"]]
        written = [str(end) if column["year"] else format_number(end) for end in ends]
        text = f"{written[0]} to {written[1]}"
        if not column["year"]:
            text += f", mean {format_number(column['mean'])}"
    elif column["kind"] == "date":
        text = f"{column['min']} to {column['max']}"
    else:
        return ", ".join(column.get("top", []))
    return f"{text}; {column['unreadable']:,} unreadable" if column["unreadable"] else text


if __name__ == "__main__":
    run_step(report)
