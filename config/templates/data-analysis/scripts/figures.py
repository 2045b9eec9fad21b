"""How figures are written for people, in one place.

The table, the chart, the answer sentence and the report use these functions,
so the same number always looks the same.
"""

from __future__ import annotations

from typing import Union

Figure = Union[int, float, str, None]


def format_number(value: Union[int, float]) -> str:
    """A number with thousands separators, two decimals, or four digits below 1."""
    size = abs(value)
    if size >= 1e15:
        return f"{value:.4g}"
    if float(value).is_integer():
        return f"{int(value):,}"
    if size >= 1:
        return f"{value:,.2f}"
    return f"{value:.4g}"


def format_cell(value: Figure) -> str:
    """A table cell: numbers formatted, text as it is, nothing for None."""
    if value is None:
        return ""
    return value if isinstance(value, str) else format_number(value)


def tidy(value: float) -> Union[int, float]:
    """A computed figure without the noise of binary fractions."""
    rounded = float(f"{value:.12g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def shorten(text: str, length: int) -> str:
    """Text on one line, cut with an ellipsis when longer than `length`."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "\u2026"


def plural(count: int, noun: str) -> str:
    """`1 row`, `2 rows`, `1,000 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
