"""What one cell of text means: missing, a number, or a date.

Two things cannot be told from one cell and are passed in: which mark is the
decimal mark, and whether 03/04/2020 is in March or April. `vote_decimal` and
`vote_date_order` settle them from a sample of the whole file.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Callable, Iterable, Optional

_MISSING_WORDS = ("na", "n/a", "#n/a", "null", "none", "nan", "nil")
MISSING = frozenset(
    ["", "-", "--", "?", "."]
    + [form(word) for word in _MISSING_WORDS for form in (str.lower, str.upper, str.title)]
    + ["NaN"]
)

_NUMBER_MAX = 1e100

_CURRENCY = r"[$€£¥]|EUR|USD|GBP|CHF"
_WRITTEN_NUMBER = r"""
    (?P<sign>[-+\u2212]?) \s? (?:(?:{currency})\s?)?
    (?P<whole>\d{{1,3}}(?P<mark>[{thousands}'\u2019\ \u00a0\u202f])\d{{3}}(?:(?P=mark)\d{{3}})*|\d+)
    (?:{decimal}(?P<part>\d*))?
    (?P<exponent>[eE][-+]?\d+)?
    \s? (?:%|{currency})?
"""


def _number_pattern(thousands: str, decimal: str) -> re.Pattern:
    source = _WRITTEN_NUMBER.format(
        currency=_CURRENCY, thousands=re.escape(thousands), decimal=re.escape(decimal)
    )
    return re.compile(source, re.VERBOSE)


_WRITTEN = {".": _number_pattern(",", "."), ",": _number_pattern(".", ",")}

# Cells that can be read with one decimal mark only: the votes.
_ONLY_COMMA = re.compile(r"[-+]?(\d{1,3}(\.\d{3})+,\d+|\d{1,3}(\.\d{3}){2,}|\d+,(\d{1,2}|\d{4,}))\s?[%€$£]?")
_ONLY_POINT = re.compile(r"[-+]?(\d{1,3}(,\d{3})+\.\d+|\d{1,3}(,\d{3}){2,}|\d*\.(\d{1,2}|\d{4,}))\s?[%€$£]?")
_COMMA_AND_THREE = re.compile(r"[-+]?\d{1,3},\d{3}")

_ISO_DATE = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?:[T ]\d{1,2}:\d{2}.*)?")
_ISO_MONTH = re.compile(r"(\d{4})-(\d{2})")
_LOCAL_DATE = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?:,? \d{1,2}:\d{2}.*)?")
_SHORT_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2})")
_NAMED_DATE = re.compile(r"(?:(\d{1,2})[ -])?([A-Za-z]{3,9})\.?[ -](?:(\d{1,2}),? )?(\d{4})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAMES = frozenset(
    _MONTHS
    + ("january", "february", "march", "april", "june", "july", "august")
    + ("september", "sept", "october", "november", "december")
)

NumberParser = Callable[[str], Optional[float]]
DateParser = Callable[[str], Optional[date]]


def number_parser(decimal: str) -> NumberParser:
    """A function from a stripped cell to its number, or None."""
    return _parse_point if decimal == "." else _parse_comma


def _parse_point(cell: str) -> Optional[float]:
    try:
        value = float(cell)
    except ValueError:
        return _parse_grouped(cell, ",", ".")
    return value if _usable(value) and "_" not in cell else None


def _parse_comma(cell: str) -> Optional[float]:
    if "." in cell or cell.count(",") > 1:
        return _parse_grouped(cell, ".", ",")
    try:
        value = float(cell.replace(",", "."))
    except ValueError:
        return _parse_grouped(cell, ".", ",")
    return value if _usable(value) and "_" not in cell else None


def _parse_grouped(cell: str, thousands: str, decimal: str) -> Optional[float]:
    """1,234.56, the common form, without the cost of the full pattern."""
    whole, _, part = cell.partition(decimal)
    first, *groups = whole.split(thousands)
    if not groups or not first.isdigit() or not (part.isdigit() or not part):
        return _parse_written(cell, decimal)
    if len(first) > 3 or any(len(group) != 3 or not group.isdigit() for group in groups):
        return None
    value = float(f"{first}{''.join(groups)}.{part or 0}")
    return value if _usable(value) else None


def _parse_written(cell: str, decimal: str) -> Optional[float]:
    """Numbers as people write them: thousands marks, currency, %, (5)."""
    negative = cell.startswith("(") and cell.endswith(")")
    match = _WRITTEN[decimal].fullmatch(cell[1:-1] if negative else cell)
    if match is None:
        return None
    whole = re.sub(r"\D", "", match["whole"])
    value = float(f"{whole}.{match['part'] or 0}{match['exponent'] or ''}")
    if not _usable(value):
        return None
    return -value if negative or match["sign"] in ("-", "\u2212") else value


def _usable(value: float) -> bool:
    """Finite, and small enough that sums and squares stay finite."""
    return abs(value) < _NUMBER_MAX


def vote_decimal(cells: Iterable[str], delimiter: str) -> str:
    """The decimal mark of a file: cells readable in one way only decide.

    Without any such cell, 1,234 in a semicolon file is read as 1.234, because
    such files come from places that write a decimal comma.
    """
    comma = point = undecided = 0
    for cell in cells:
        if _ONLY_COMMA.fullmatch(cell):
            comma += 1
        elif _ONLY_POINT.fullmatch(cell):
            point += 1
        elif _COMMA_AND_THREE.fullmatch(cell):
            undecided += 1
    if comma == point:
        return "," if delimiter == ";" and undecided else "."
    return "," if comma > point else "."


def date_parser(order: str) -> DateParser:
    """A function from a stripped cell to its date, or None.

    `order` is "dmy" or "mdy". Times of day are accepted and dropped.
    """

    def parse(cell: str) -> Optional[date]:
        if len(cell) < 6 or len(cell) > 40:
            return None
        parts = _date_parts(cell, order)
        if parts is None:
            return None
        try:
            return date(*parts)
        except ValueError:
            return None

    return parse


def _date_parts(cell: str, order: str) -> Optional[tuple]:
    match = _ISO_DATE.fullmatch(cell)
    if match:
        return int(match[1]), int(match[3]), int(match[4])
    match = _ISO_MONTH.fullmatch(cell)
    if match:
        return int(match[1]), int(match[2]), 1
    match = _LOCAL_DATE.fullmatch(cell)
    if match:
        order = "dmy" if match[2] == "." else order
        return _ordered(int(match[4]), int(match[1]), int(match[3]), order)
    match = _SHORT_DATE.fullmatch(cell)
    if match:
        return _ordered(_full_year(int(match[3])), int(match[1]), int(match[2]), order)
    match = _NAMED_DATE.fullmatch(cell)
    if match and match[2].lower() in _MONTH_NAMES:
        month = _MONTHS.index(match[2].lower()[:3]) + 1
        return int(match[4]), month, int(match[1] or match[3] or 1)
    return None


def _ordered(year: int, first: int, second: int, order: str) -> tuple:
    return (year, second, first) if order == "dmy" else (year, first, second)


def _full_year(year: int) -> int:
    """Two-digit years turn at 70, as POSIX does."""
    return year + (1900 if year >= 70 else 2000)


def vote_date_order(cells: Iterable[str], decimal: str) -> str:
    """Day or month first: a number above 12 decides, then the decimal mark."""
    for cell in cells:
        match = _LOCAL_DATE.fullmatch(cell) or _SHORT_DATE.fullmatch(cell)
        if match is None:
            continue
        first, second = (int(part) for part in re.findall(r"\d+", cell)[:2])
        if first > 12:
            return "dmy"
        if second > 12:
            return "mdy"
    return "dmy" if decimal == "," else "mdy"
