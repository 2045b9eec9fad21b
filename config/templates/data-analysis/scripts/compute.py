"""Step 3: carries out the choice and writes table.csv, chart.svg, analysis.json.

Output: whether something was computed, the sentences that answer the
question, a short form of the table for the writer's prompt, and what could
not be answered. The whole result is in analysis.json.
"""

from __future__ import annotations

import json
from typing import Optional

from chart import draw_chart
from figures import format_cell, shorten
from plan import CannotAnswer, first_choice, make_plan
from request import Failure, Request, run_step
from results import Result, compute_result
from tables import write_table

_PROMPT_ROWS = 10
_ANALYSIS_ROWS_MAX = 1_000


def compute(request: Request) -> dict:
    """The whole output of the step, and its files."""
    profile = request.output("profile")
    if not isinstance(profile, dict):
        raise Failure("the file was not profiled")
    choice, chosen_by = _choice(request, profile)
    result, limits = None, []
    if choice is not None:
        result, limits = _carry_out(request, profile, choice)
    if result is not None:
        _write_files(result)
    analysis = _analysis(choice, chosen_by, result, limits)
    with open("analysis.json", "w", encoding="utf-8") as handle:
        json.dump(analysis, handle, ensure_ascii=False, indent=2)
        handle.write("\n")
    return _output(analysis)


def _choice(request: Request, profile: dict) -> tuple:
    """(the choice, who made it); no choice for a file without rows."""
    if not profile["answerable"]:
        return None, "nobody"
    chosen = request.output("choose")
    schema = profile["schema"]
    if isinstance(chosen, dict) and _satisfies(chosen, schema):
        return chosen, "the model"
    return first_choice(schema), "code, because the model gave no valid choice"


def _satisfies(chosen: dict, schema: dict) -> bool:
    properties = schema["properties"]
    return all(chosen.get(name) in spec["enum"] for name, spec in properties.items())


def _carry_out(request: Request, profile: dict, choice: dict) -> tuple:
    try:
        plan = make_plan(choice, profile)
        result = compute_result(request.only_input()["path"], plan, profile)
    except CannotAnswer as reason:
        return None, [str(reason)]
    return result, plan.limits


def _write_files(result: Result) -> None:
    write_table("table.csv", result.columns, result.rows)
    with open("chart.svg", "w", encoding="utf-8") as handle:
        handle.write(draw_chart(result.chart, result.title, " ".join(result.sentences)))


def _analysis(choice: Optional[dict], chosen_by: str, result: Optional[Result], limits: list) -> dict:
    analysis = {"choice": choice, "chosen_by": chosen_by, "computed": result is not None, "limits": limits}
    if result is not None:
        analysis["result"] = {
            "title": result.title,
            "columns": result.columns,
            "rows": result.rows[:_ANALYSIS_ROWS_MAX],
            "rows_total": len(result.rows),
            "sentences": result.sentences,
            "facts": result.facts,
            "notes": result.notes,
            "ranked_by": result.ranked_by,
        }
    return analysis


def _output(analysis: dict) -> dict:
    """The small part that prompts and people need."""
    result = analysis.get("result")
    if result is None:
        return {"computed": False, "limits": analysis["limits"]}
    return {
        "computed": True,
        "limits": analysis["limits"],
        "title": shorten(result["title"], 200),
        "answer": shorten(" ".join(result["sentences"]), 1_000),
        "table": _prompt_table(result),
    }


def _prompt_table(result: dict) -> str:
    lines = [" | ".join(shorten(column, 40) for column in result["columns"])]
    for row in result["rows"][:_PROMPT_ROWS]:
        lines.append(" | ".join(shorten(format_cell(cell), 40) for cell in row))
    return "\n".join(lines)


if __name__ == "__main__":
    run_step(compute)
