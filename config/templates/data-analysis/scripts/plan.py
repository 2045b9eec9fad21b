"""From the model's choice to a computation that can be carried out.

Every choice the schema permits ends here in a plan or in a sentence that
says why not; a choice that makes part of the question impossible is reduced
to what is possible, and the rest becomes a limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional

NONE = "none"
CANNOT = "cannot"
_NEEDS_VALUE = ("sum", "mean", "median", "min", "max", "distribution", "correlation", "trend")
_NUMBER_KINDS = ("number", "integer")
_GROUPS_OF_NUMBERS_MAX = 50


class CannotAnswer(Exception):
    """The choice cannot be computed; the message says why."""


@dataclass
class Plan:
    """One computation: an operation over columns, each as profiled."""

    operation: str
    value: Optional[dict] = None
    by: Optional[dict] = None
    conditions: List[dict] = field(default_factory=list)
    limits: List[str] = field(default_factory=list)

    @property
    def over_time(self) -> bool:
        """True when groups are points in time."""
        return self.by is not None and (self.by["kind"] == "date" or bool(self.by.get("year")))


def first_choice(schema: dict) -> dict:
    """The choice made when the model made none: the first of each enum."""
    return {name: spec["enum"][0] for name, spec in schema["properties"].items()}


def make_plan(choice: dict, profile: dict) -> Plan:
    """Checks a choice against the profile."""
    operation = choice["operation"]
    if operation == CANNOT:
        raise CannotAnswer("None of the operations answers the question.")
    columns = {column["label"]: column for column in profile["columns"]}
    conditions = profile["conditions"] if choice["filter"] != NONE else []
    plan = Plan(operation, conditions=conditions)
    if operation in _NEEDS_VALUE:
        plan.value = _number_column(operation, columns.get(choice["value_column"]))
    by = columns.get(choice["by_column"])
    if operation == "correlation":
        plan.by = _second_column(plan.value, by)
    elif operation == "trend":
        plan.by = _time_column(by)
    else:
        plan.by = _group_column(plan, by)
    if operation == "share" and plan.by is None:
        raise CannotAnswer("A share needs a column whose groups are compared.")
    return plan


def _number_column(operation: str, column: Optional[dict]) -> dict:
    if column is None or column["kind"] not in _NUMBER_KINDS:
        raise CannotAnswer(f"The operation {operation} needs a column of numbers.")
    return column


def _second_column(value: dict, by: Optional[dict]) -> dict:
    if by is None or by["kind"] not in _NUMBER_KINDS:
        raise CannotAnswer("A correlation needs two columns of numbers.")
    if by["name"] == value["name"]:
        raise CannotAnswer("A correlation of a column with itself says nothing.")
    return by


def _time_column(by: Optional[dict]) -> dict:
    if by is None or not (by["kind"] == "date" or by.get("year")):
        raise CannotAnswer("A trend needs a column of dates or years.")
    return by


def _group_column(plan: Plan, by: Optional[dict]) -> Optional[dict]:
    """The grouping column, or None with a limit when it forms no groups."""
    if by is None:
        return None
    if plan.value is not None and by["name"] == plan.value["name"]:
        plan.limits.append(f"{by['name']} cannot be grouped by itself; the figure is for all rows.")
        return None
    many = by["distinct"] is None or by["distinct"] > _GROUPS_OF_NUMBERS_MAX
    if by["kind"] in _NUMBER_KINDS and many and not by.get("year"):
        plan.limits.append(f"{by['name']} has too many different numbers to group by; the figure is for all rows.")
        return None
    return by
