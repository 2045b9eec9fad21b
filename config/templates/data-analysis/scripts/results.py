"""The result of a plan: a table, the sentences that answer, a chart to draw.

Every figure anyone reads later comes from here. Sentences are written from
the table by code, so they are right whatever a model writes beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional

import statistic
from figures import Figure, format_number, plural, tidy
from gather import MISSING_GROUP, Gathered, gather_groups, gather_pairs
from plan import CannotAnswer, Plan

_POINTS_DRAWN_MAX = 800
_SUMMARY = ["values", "mean", "min", "quartile 1", "median", "quartile 3", "max", "standard deviation"]
_STRENGTHS = ((0.1, "no"), (0.3, "a weak"), (0.5, "a moderate"), (1.1, "a strong"))


@dataclass
class Result:
    """What was computed."""

    title: str
    columns: List[str]
    rows: List[List[Figure]]
    sentences: List[str]
    # How to draw it: {"kind": "bars" | "line" | "histogram" | "scatter", ...}.
    chart: dict
    # Figures beside the table that prose may mention.
    facts: List[float] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)
    # The column of `rows` that ranks them, for the check of "the highest".
    ranked_by: Optional[int] = None


def compute_result(path: str, plan: Plan, profile: dict) -> Result:
    """Carries out a plan; CannotAnswer when the data does not allow it."""
    if plan.operation == "correlation":
        return _correlation(path, plan, profile)
    gathered = gather_groups(path, plan, profile)
    if not gathered.counts:
        raise CannotAnswer(f"No row{_scope(plan)} is left to compute from.")
    if plan.operation in ("count", "share"):
        result = _counted(plan, gathered, profile)
    elif plan.operation == "distribution":
        result = _distribution(plan, gathered)
    elif plan.by is None:
        result = _single_figure(plan, gathered)
    else:
        result = _grouped(plan, gathered, profile)
    result.facts.extend([gathered.rows_read, gathered.rows_used])
    result.notes.extend(_left_out(plan, gathered))
    return result


def _conditions(plan: Plan) -> str:
    return " and ".join(condition["label"] for condition in plan.conditions)


def _scope(plan: Plan) -> str:
    return f" among rows with {_conditions(plan)}" if plan.conditions else ""


def _left_out(plan: Plan, gathered: Gathered) -> List[str]:
    if plan.value is None or not gathered.without_value:
        return []
    without = plural(gathered.without_value, "row")
    return [f"{without} without a number in {plan.value['name']} took no part."]


# Counts and shares


def _counted(plan: Plan, gathered: Gathered, profile: dict) -> Result:
    total = gathered.rows_used
    if plan.by is None:
        return _single_count(plan, gathered)
    rows = [[group, count, tidy(100 * count / total)] for group, count in gathered.counts.items()]
    by = plan.by["name"]
    ranked = 1 if plan.operation == "count" else 2
    rows = _sorted_rows(rows, ranked, plan, profile)
    figure = "Rows" if plan.operation == "count" else "Share of rows in %"
    return Result(
        title=f"{figure} by {by}{_scope(plan)}",
        columns=[by, "rows", "share in %"],
        rows=rows,
        sentences=_count_sentences(rows, plan, profile, total),
        chart=_group_chart(plan, rows, ranked, figure, additive=True),
        facts=[len(rows), len(_real_groups(rows))],
        ranked_by=ranked,
    )


def _single_count(plan: Plan, gathered: Gathered) -> Result:
    used, read = gathered.rows_used, gathered.rows_read
    if plan.conditions:
        share = tidy(100 * used / read)
        sentence = f"{used:,} of {plural(read, 'row')} ({format_number(share)}%) have {_conditions(plan)}."
        rows: List[List[Figure]] = [[_conditions(plan), used, share], ["all rows", read, 100]]
    else:
        sentence = f"The file holds {plural(read, 'row')}."
        rows = [["all rows", read, 100]]
    chart = {"kind": "bars", "labels": [row[0] for row in rows], "values": [row[1] for row in rows]}
    return Result("Number of rows", ["rows", "number", "share in %"], rows, [sentence], _axis(chart, "Rows", ""))


def _count_sentences(rows: list, plan: Plan, profile: dict, total: int) -> List[str]:
    by, focus = plan.by["name"], profile["reading"]["focus"]
    for group, count, share in rows:
        if group == focus:
            return [f"{format_number(share)}% of the rows{_scope(plan)} have {by} {group}: {count:,} of {total:,}."]
    groups = _real_groups(rows)
    if not groups:
        return [f"No row{_scope(plan)} has a value in {by}."]
    most = max(groups, key=lambda row: row[1])
    least = min(groups, key=lambda row: row[1])
    start = f"Of {plural(total, 'row')}{_scope(plan)}"
    if most[1] == least[1]:
        each = "every" if len(groups) > 1 else "the only"
        return [f"{start}, {most[1]:,} ({format_number(most[2])}%) have {each} {by}, {most[0]} for one."]
    ends = [("most", most), ("fewest", least)]
    if profile["reading"]["order"] == "asc":
        ends.reverse()
    said = [
        f"the {end}, {row[1]:,} ({format_number(row[2])}%), have {by} {row[0]}{_ties(groups, row)}"
        for end, row in ends
    ]
    return [f"{start}, {said[0]}; {said[1]}.", f"There are {len(groups):,} different values of {by}."]


def _ties(groups: list, row: list) -> str:
    """A group with the same count, if there is one."""
    tied = [other[0] for other in groups if other[1] == row[1] and other is not row]
    return f", tied with {tied[0]}" if tied else ""


# One figure per group or for all rows


def _single_figure(plan: Plan, gathered: Gathered) -> Result:
    numbers = gathered.numbers[""]
    figure = tidy(statistic.AGGREGATES[plan.operation](numbers))
    name = f"{plan.operation} of {plan.value['name']}"
    sentence = (
        f"The {name}{_scope(plan)} is {format_number(figure)}, from {plural(len(numbers), 'value')}."
    )
    chart = _histogram_chart(numbers, plan)
    rows: List[List[Figure]] = [[_conditions(plan) or "all rows", figure, len(numbers)]]
    return Result(name + _scope(plan), ["rows", name, "values"], rows, [sentence], chart)


def _grouped(plan: Plan, gathered: Gathered, profile: dict) -> Result:
    operation = "mean" if plan.operation == "trend" else plan.operation
    aggregate = statistic.AGGREGATES[operation]
    rows = [
        [group, tidy(aggregate(numbers)), len(numbers)]
        for group, numbers in gathered.numbers.items()
        if group != MISSING_GROUP
    ]
    if not rows:
        raise CannotAnswer(f"No row has both {plan.by['name']} and {plan.value['name']}.")
    rows = _sorted_rows(rows, 1, plan, profile)
    name = f"{operation} of {plan.value['name']}"
    if plan.over_time:
        sentences, facts = _time_sentences(rows, name, plan)
    else:
        sentences, facts = _extreme_sentences(rows, name, plan, profile), []
    return Result(
        title=f"{name} by {plan.by['name']}{_scope(plan)}",
        columns=[plan.by["name"], name, "values"],
        rows=rows,
        sentences=sentences,
        chart=_group_chart(plan, rows, 1, name, additive=operation == "sum"),
        facts=facts + [len(rows)],
        notes=_without_group(plan, gathered),
        ranked_by=1,
    )


def _without_group(plan: Plan, gathered: Gathered) -> List[str]:
    left_out = gathered.counts.get(MISSING_GROUP, 0)
    return [f"{plural(left_out, 'row')} without {plan.by['name']} took no part."] if left_out else []


def _extreme_sentences(rows: list, name: str, plan: Plan, profile: dict) -> List[str]:
    by = plan.by["name"]
    high, low = max(rows, key=lambda row: row[1]), min(rows, key=lambda row: row[1])
    if high[1] == low[1]:
        each = "every" if len(rows) > 1 else "the only"
        return [f"The {name}{_scope(plan)} is {format_number(high[1])} for {each} {by}, {high[0]} for one."]
    ends = [("highest", high), ("lowest", low)]
    if profile["reading"]["order"] == "asc":
        ends.reverse()
    said = [f"the {end} {name}{_scope(plan)} is {format_number(row[1])}, for {by} {row[0]}" for end, row in ends]
    return [f"{said[0][0].upper()}{said[0][1:]}; {said[1]}."]


def _time_sentences(rows: list, name: str, plan: Plan) -> tuple:
    first, last = rows[0], rows[-1]
    if len(rows) == 1:
        return [f"The {name}{_scope(plan)} is {format_number(first[1])} in {first[0]}, the only point in time."], []
    change = tidy(last[1] - first[1])
    went = "rose" if change > 0 else "fell" if change < 0 else "stayed the same"
    by = f" by {format_number(abs(change))}" if change else ""
    sentence = (
        f"The {name}{_scope(plan)} {went}{by}, from {format_number(first[1])} in {first[0]}"
        f" to {format_number(last[1])} in {last[0]}, over {len(rows):,} points in time."
    )
    return [sentence], [change, abs(change)]


# Distribution and correlation


def _distribution(plan: Plan, gathered: Gathered) -> Result:
    name = plan.value["name"]
    title = f"Distribution of {name}"
    if plan.by is None:
        numbers = gathered.numbers[""]
        row = [_conditions(plan) or "all rows"] + _summary(numbers)
        sentence = _spread_sentence(f"{name}{_scope(plan)}", row)
        return Result(title + _scope(plan), ["rows"] + _SUMMARY, [row], [sentence], _histogram_chart(numbers, plan))
    by = plan.by["name"]
    rows = [[group] + _summary(numbers) for group, numbers in gathered.numbers.items() if group != MISSING_GROUP]
    if not rows:
        raise CannotAnswer(f"No row has both {by} and {name}.")
    median = 1 + _SUMMARY.index("median")
    rows.sort(key=lambda row: row[0] if plan.over_time else -row[median])
    return Result(
        title=f"{title} by {by}{_scope(plan)}",
        columns=[by] + _SUMMARY,
        rows=rows,
        sentences=[_spread_sentence(f"{name} for {by} {row[0]}{_scope(plan)}", row) for row in rows[:3]],
        chart=_group_chart(plan, rows, median, f"median of {name}", additive=False),
        facts=[len(rows)],
        notes=_without_group(plan, gathered),
        ranked_by=median,
    )


def _summary(numbers) -> List[Figure]:
    ordered = statistic.in_order(numbers)
    quartiles = [statistic.quantile(ordered, share) for share in (0.25, 0.5, 0.75)]
    figures = [statistic.mean(ordered), ordered[0], *quartiles, ordered[-1], statistic.deviation(ordered)]
    return [len(ordered)] + [tidy(figure) for figure in figures]


def _spread_sentence(what: str, row: list) -> str:
    count, mean, low, first, middle, third, high, deviation = row[1:]
    return (
        f"{what} ranges from {format_number(low)} to {format_number(high)} over {plural(count, 'value')}; "
        f"the median is {format_number(middle)}, the mean {format_number(mean)}, "
        f"the standard deviation {format_number(deviation)}, "
        f"and the middle half lies from {format_number(first)} to {format_number(third)}."
    )


def _correlation(path: str, plan: Plan, profile: dict) -> Result:
    first, second, gathered = gather_pairs(path, plan, profile)
    x, y = plan.value["name"], plan.by["name"]
    if len(first) < 3:
        raise CannotAnswer(f"A correlation needs three rows with both {x} and {y}; there are {len(first)}.")
    try:
        correlation, slope, intercept = (tidy(f) for f in statistic.pearson(first, second))
    except ZeroDivisionError:
        raise CannotAnswer(f"A correlation needs both {x} and {y} to vary, and one is constant.")
    strength = next(word for bound, word in _STRENGTHS if abs(correlation) < bound)
    direction = "" if strength == "no" else " positive" if correlation > 0 else " negative"
    sentence = (
        f"{x} and {y}{_scope(plan)} show {strength}{direction} linear relationship: "
        f"the Pearson correlation is {format_number(correlation)} over {plural(len(first), 'row')}."
    )
    rows: List[List[Figure]] = [
        ["Pearson correlation", correlation],
        [f"change of {y} per unit of {x}", slope],
        [f"{y} where {x} is 0 (fitted line)", intercept],
        ["rows with both values", len(first)],
    ]
    notes = ["A correlation does not show that one thing causes the other."]
    if gathered.without_value:
        notes.append(f"{plural(gathered.without_value, 'row')} without both numbers took no part.")
    step = max(1, len(first) // _POINTS_DRAWN_MAX)
    chart = {"kind": "scatter", "points": list(zip(first[::step], second[::step])), "line": [slope, intercept]}
    facts = [gathered.rows_read, gathered.rows_used]
    title = f"{x} and {y}{_scope(plan)}"
    return Result(title, ["figure", "value"], rows, [sentence], _axis(chart, x, y), facts=facts, notes=notes)


# Shared


def _real_groups(rows: list) -> list:
    return [row for row in rows if row[0] != MISSING_GROUP]


def _sorted_rows(rows: list, ranked: int, plan: Plan, profile: dict) -> list:
    """Time and number groups in their own order, others by figure; gaps last."""
    if plan.over_time:
        return sorted(rows, key=lambda row: (row[0] == MISSING_GROUP, row[0]))
    sign = 1 if profile["reading"]["order"] == "asc" else -1
    return sorted(rows, key=lambda row: (row[0] == MISSING_GROUP, sign * row[ranked], row[0]))


def _axis(chart: dict, x: str, y: str) -> dict:
    return {**chart, "x": x, "y": y}


def _group_chart(plan: Plan, rows: list, ranked: int, figure: str, additive: bool) -> dict:
    rows = _real_groups(rows) if plan.over_time else rows
    chart = {"labels": [row[0] for row in rows], "values": [row[ranked] for row in rows], "additive": additive}
    if plan.over_time and len(rows) > 1:
        return _axis({"kind": "line", **chart}, plan.by["name"], figure)
    return _axis({"kind": "bars", **chart}, figure, plan.by["name"])


def _histogram_chart(numbers, plan: Plan) -> dict:
    return _axis({"kind": "histogram", "bins": statistic.histogram(numbers)}, plan.value["name"], "Rows")
