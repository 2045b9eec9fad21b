"""Step 1: reads the file once and turns the question into open choices.

Output: facts about the file, its columns, the JSON Schema of the choices that
the question leaves open, the same choices as a menu for the prompt, and how
the question was read. See `evidence` for what counts as evidence: words of
column names, values of text columns and listed English phrases, no more.
"""

from __future__ import annotations

from columns import profile_columns
from dialect import detect_dialect
from evidence import Evidence
from options import Options
from request import Request, run_step
from source import RowCounts

_COLUMNS_LISTED_MAX = 60


def profile(request: Request) -> dict:
    """The whole output of the step."""
    source = request.only_input()
    dialect = detect_dialect(source["path"], request.params)
    counts = RowCounts()
    columns = profile_columns(source["path"], dialect.to_json(), dialect.names, counts)
    evidence = Evidence(request.goal, columns, source["name"])
    options = Options(evidence, columns)
    return {
        "file": _file_facts(source, dialect, counts, columns),
        "dialect": dialect.to_json(),
        "columns": _listed_columns(columns, options),
        "answerable": counts.rows > 0,
        "schema": options.schema(),
        "menu": options.menu(),
        "conditions": evidence.conditions,
        "reading": _reading(evidence, options),
    }


def _file_facts(source: dict, dialect, counts: RowCounts, columns: list) -> dict:
    return {
        "name": source["name"],
        "bytes": source.get("bytes"),
        "sha256": source.get("sha256"),
        "rows": counts.rows,
        "columns": len(columns),
        "encoding": dialect.encoding,
        "delimiter": dialect.delimiter,
        "decimal": dialect.decimal,
        "header": dialect.header,
        "missing_cells": sum(column.missing for column in columns),
        "short_rows": counts.short,
        "long_rows": counts.long,
        "blank_lines": counts.blank,
    }


def _listed_columns(columns: list, options: Options) -> list:
    """Every column a choice can reach, then others in file order."""
    offered = options.offered()
    others = [column for column in columns if column not in offered]
    room = max(0, _COLUMNS_LISTED_MAX - len(offered))
    listed = sorted(offered + others[:room], key=lambda column: column.index)
    return [{"label": options.labels[column], **column.to_json()} for column in listed]


def _reading(evidence: Evidence, options: Options) -> dict:
    return {
        "notes": evidence.notes,
        "limits": evidence.limits + options.limits,
        "unmatched": evidence.unmatched,
        "matched_any": evidence.matched_any,
        "open_fields": options.open_fields(),
        "order": evidence.cues.order,
        "period": evidence.cues.period,
        "focus": evidence.focus,
    }


if __name__ == "__main__":
    run_step(profile)
