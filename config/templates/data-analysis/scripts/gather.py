"""The second pass over the file: the cells a plan needs, and no others.

Numbers are kept as packed arrays, eight bytes each, so even a file of
50 MB that is all numbers stays far below the memory limit.
"""

from __future__ import annotations

from array import array
from typing import Callable, Dict, List, Optional, Tuple

from cells import MISSING, date_parser, number_parser
from plan import CannotAnswer, Plan
from source import RowCounts, read_rows

MISSING_GROUP = "(missing)"
_GROUPS_MAX = 100_000
_PERIODS_SHOWN_MAX = 60

Test = Callable[[List[str]], bool]
Numbers = Dict[str, array]


class Gathered:
    """Groups in order of appearance, with their rows and numbers."""

    def __init__(self) -> None:
        self.rows_read = 0
        self.rows_used = 0
        self.counts: Dict[str, int] = {}
        self.numbers: Numbers = {}
        self.without_value = 0


def row_test(conditions: List[dict], profile: dict) -> Test:
    """True for rows that meet every condition."""
    tests = [_condition_test(condition, profile) for condition in conditions]
    return lambda row: all(test(row) for test in tests)


def _condition_test(condition: dict, profile: dict) -> Test:
    column = next(c for c in profile["columns"] if c["name"] == condition["column"])
    index, wanted, test = column["index"], condition["value"], condition["test"]
    if isinstance(wanted, str):
        return lambda row: row[index].strip() == wanted
    read = _number_reader(column, profile["dialect"])

    def holds(row: List[str]) -> bool:
        number = read(row[index].strip())
        return number is not None and _compare(number, test, wanted)

    return holds


def _number_reader(column: dict, dialect: dict) -> Callable[[str], Optional[float]]:
    """Numbers as they are; dates as their year."""
    if column["kind"] != "date":
        return number_parser(dialect["decimal"])
    parse = date_parser(dialect["date_order"])

    def year(cell: str) -> Optional[float]:
        day = parse(cell)
        return None if day is None else float(day.year)

    return year


def _compare(number: float, test: str, wanted: float) -> bool:
    if test == "=":
        return number == wanted
    if test == ">":
        return number > wanted
    if test == ">=":
        return number >= wanted
    return number < wanted if test == "<" else number <= wanted


def gather_groups(path: str, plan: Plan, profile: dict) -> Gathered:
    """Counts rows, and collects the value column's numbers, for each group."""
    dialect = profile["dialect"]
    gathered, parse = Gathered(), number_parser(dialect["decimal"])
    keep = row_test(plan.conditions, profile) if plan.conditions else None
    value_index = plan.value["index"] if plan.value else None
    group_of = _group_reader(plan, profile)
    counts = RowCounts()
    for row in read_rows(path, dialect, counts):
        if keep is not None and not keep(row):
            continue
        gathered.rows_used += 1
        group = group_of(row)
        if value_index is None:
            gathered.counts[group] = gathered.counts.get(group, 0) + 1
        else:
            number = parse(row[value_index].strip())
            _take_number(gathered, group, number)
        if len(gathered.counts) > _GROUPS_MAX:
            raise CannotAnswer(f"{plan.by['name']} has more than {_GROUPS_MAX:,} groups.")
    gathered.rows_read = counts.rows
    return gathered


def _take_number(gathered: Gathered, group: str, number: Optional[float]) -> None:
    if number is None:
        gathered.without_value += 1
        return
    numbers = gathered.numbers.get(group)
    if numbers is None:
        numbers = gathered.numbers[group] = array("d")
    numbers.append(number)
    gathered.counts[group] = len(numbers)


def _group_reader(plan: Plan, profile: dict) -> Callable[[List[str]], str]:
    if plan.by is None:
        return lambda row: ""
    index = plan.by["index"]
    if plan.by["kind"] != "date":
        return lambda row: _group_label(row[index].strip())
    label = _period_reader(plan.by, profile)
    memory: Dict[str, str] = {}

    def period(row: List[str]) -> str:
        cell = row[index].strip()
        known = memory.get(cell)
        if known is None:
            known = memory[cell] = label(cell)
            if len(memory) > _GROUPS_MAX:
                memory.clear()
        return known

    return period


def _group_label(cell: str) -> str:
    if cell in MISSING:
        return MISSING_GROUP
    return " ".join(cell.split()) if "\n" in cell or "\r" in cell else cell


def _period_reader(column: dict, profile: dict) -> Callable[[str], str]:
    parse = date_parser(profile["dialect"]["date_order"])
    period = profile["reading"]["period"] or choose_period(column["min"], column["max"])

    def label(cell: str) -> str:
        day = parse(cell)
        return MISSING_GROUP if day is None else _PERIOD_LABELS[period](day)

    return label


def _week(day) -> str:
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


_PERIOD_LABELS = {
    "day": lambda day: day.isoformat(),
    "week": _week,
    "month": lambda day: f"{day.year:04d}-{day.month:02d}",
    "quarter": lambda day: f"{day.year:04d}-Q{(day.month + 2) // 3}",
    "year": lambda day: f"{day.year:04d}",
}


def choose_period(first: str, last: str) -> str:
    """The finest period that keeps the points countable."""
    start, end = (date_parser("dmy")(day) for day in (first, last))
    days = (end - start).days
    for period, length_days in (("day", 1), ("month", 30)):
        if days / length_days <= _PERIODS_SHOWN_MAX:
            return period
    return "year"


def gather_pairs(path: str, plan: Plan, profile: dict) -> Tuple[array, array, Gathered]:
    """The rows that have both numbers of a correlation."""
    dialect = profile["dialect"]
    gathered, parse = Gathered(), number_parser(dialect["decimal"])
    keep = row_test(plan.conditions, profile)
    first, second = array("d"), array("d")
    counts = RowCounts()
    for row in read_rows(path, dialect, counts):
        if not keep(row):
            continue
        gathered.rows_used += 1
        one = parse(row[plan.value["index"]].strip())
        two = parse(row[plan.by["index"]].strip())
        if one is None or two is None:
            gathered.without_value += 1
            continue
        first.append(one)
        second.append(two)
    gathered.rows_read = counts.rows
    return first, second, gathered
