"""What each column holds, gathered in one pass over the file.

A column is read as numbers, dates or text according to the first cells it
has; the rest of the file then only confirms or corrects that. Cells are
taken a block of rows at a time, because Python handles a list of cells far
faster than cells one by one.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import date
from typing import Iterator, List, Optional, Sequence

from cells import MISSING, date_parser, number_parser
from figures import shorten, tidy
from source import RowCounts, read_rows
from words import name_words

# Blocks hold this many cells however wide the file is, which bounds memory.
_BLOCK_CELLS = 200_000
_BLOCK_ROWS_MAX = 20_000
# Distinct values are counted up to a limit per column and over all columns.
_DISTINCT_MAX = 5_000
_DISTINCT_TOTAL_MAX = 200_000
_LONG_CELL_CHARS = 200
# The share of readable cells that makes a column numbers or dates.
_MOSTLY = 0.95
_LIKELY = 0.6
_FEW_VALUES = 50

_TRUTH_PAIRS = ({"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"})
_ID_WORDS = {"id", "uuid", "guid", "key", "rowid", "index", "identifier"}
TEXT_KINDS = ("boolean", "category", "id", "text")
NUMBER_KINDS = ("number", "integer")


class Column:
    """One column: what was counted, and what kind that makes it."""

    def __init__(self, name: str, index: int, dialect: dict, distinct_max: int) -> None:
        self.name = name
        self.index = index
        self.missing = 0
        self.present = 0
        self.unreadable = 0
        self.distinct: Optional[Counter] = Counter()
        self.kind = "empty"
        self._distinct_max = distinct_max
        self._reading: Optional[str] = None
        self._parse_number = number_parser(dialect["decimal"])
        self._parse_date = date_parser(dialect["date_order"])
        self._numbers = 0
        self._total = 0.0
        self._low = math.inf
        self._high = -math.inf
        self._whole = True
        self._leading_zeros = False
        self._all_distinct = True
        self._dates: dict = {}
        self._dated = 0

    def add(self, raw_cells: Sequence[str]) -> None:
        """Takes the column's cells of one block of rows."""
        cells = [cell.strip() for cell in raw_cells]
        missing = sum(map(MISSING.__contains__, cells))
        self.missing += missing
        self.present += len(cells) - missing
        if missing == len(cells):
            return
        if missing:
            cells = [cell for cell in cells if cell not in MISSING]
        if self._reading is None:
            self._reading = self._likely_reading(cells)
        if self.distinct is not None:
            self._count_distinct(cells)
        if self._reading == "number":
            self._add_numbers(cells)
        elif self._reading == "date":
            self._add_dates(cells)

    def _likely_reading(self, cells: List[str]) -> str:
        sample = cells[:1000]
        codes = sum(cell.isdigit() and len(cell) > 1 and cell[0] == "0" for cell in sample)
        self._leading_zeros = codes > 0
        for reading, parse in (("number", self._parse_number), ("date", self._parse_date)):
            readable = sum(parse(cell) is not None for cell in sample)
            if readable >= _LIKELY * len(sample):
                return reading
        return "text"

    def _count_distinct(self, cells: List[str]) -> None:
        before = sum(self.distinct.values())
        if max(map(len, cells)) > _LONG_CELL_CHARS:
            self.distinct, self._all_distinct = None, False
            return
        self.distinct.update(cells)
        if len(self.distinct) > self._distinct_max:
            self._all_distinct = len(self.distinct) == before + len(cells)
            self.distinct = None

    def _add_numbers(self, cells: List[str]) -> None:
        values = self._numbers_of(cells)
        self.unreadable += len(cells) - len(values)
        if not values:
            return
        self._numbers += len(values)
        self._total += math.fsum(values)
        self._low = min(self._low, min(values))
        self._high = max(self._high, max(values))
        self._whole = self._whole and all(map(float.is_integer, values))

    def _numbers_of(self, cells: List[str]) -> List[float]:
        parsed = map(self._parse_number, cells)
        return [value for value in parsed if value is not None]

    def _add_dates(self, cells: List[str]) -> None:
        for cell in cells:
            day = cell[:10] if cell[4:5] == "-" and len(cell) > 10 else cell
            found = self._dates.get(day, self)
            if found is self:
                found = self._remember_date(day, cell)
            if found is None:
                self.unreadable += 1
            else:
                self._dated += 1

    def _remember_date(self, day: str, cell: str):
        """Parses a date once; the memory is bounded by starting over."""
        found = self._parse_date(cell)
        if len(self._dates) > _DISTINCT_MAX:
            self._dates.clear()
        self._dates[day] = found
        if found is not None:
            self._low = min(self._low, found.toordinal())
            self._high = max(self._high, found.toordinal())
        return found

    def finish(self) -> None:
        """Settles the kind once every row was seen."""
        if self.present == 0:
            return
        if self._dated >= _MOSTLY * self.present:
            self.kind = "date"
        elif self._numbers >= _MOSTLY * self.present and not self._leading_zeros:
            self.kind = "id" if self._looks_like_id() else "integer" if self._whole else "number"
        else:
            self.kind = self._text_kind()

    def _looks_like_id(self) -> bool:
        """A whole number per row that only names the row."""
        if not self._whole or self.has_repeats():
            return False
        words = set(name_words(self.name))
        consecutive = self._high - self._low + 1 == self.present and self.present > 20
        return bool(words & _ID_WORDS) or consecutive

    def _text_kind(self) -> str:
        if self.distinct is None:
            return "text" if self.has_repeats() else "id"
        values = {value.casefold() for value in self.distinct}
        if len(values) == 2 and any(values == pair for pair in _TRUTH_PAIRS):
            return "boolean"
        if len(values) <= _FEW_VALUES or len(values) <= self.present / 2:
            return "category"
        spaced = any(" " in value for value in values)
        return "text" if spaced or self.has_repeats() else "id"

    def has_repeats(self) -> bool:
        """True when some value was seen twice, as far as values were counted."""
        if self.distinct is None:
            return not self._all_distinct
        return len(self.distinct) < self.present

    def few_values(self) -> bool:
        """True when the column has few enough values to group by."""
        return self.distinct is not None and len(self.distinct) <= _FEW_VALUES

    def is_year(self) -> bool:
        """True for whole numbers that are calendar years."""
        named = "year" in name_words(self.name) or self.few_values()
        return self.kind == "integer" and named and 1800 <= self._low and self._high <= 2200

    def to_json(self) -> dict:
        """What the report and later steps need to know of the column."""
        document = {
            "name": self.name,
            "index": self.index,
            "kind": self.kind,
            "present": self.present,
            "missing": self.missing,
            "distinct": None if self.distinct is None else len(self.distinct),
        }
        if self.kind in NUMBER_KINDS:
            document["min"], document["max"] = tidy(self._low), tidy(self._high)
            document["mean"] = tidy(self._total / self._numbers)
            document["unreadable"] = self.unreadable
            document["year"] = self.is_year()
        elif self.kind == "date":
            document["min"], document["max"] = _day(self._low), _day(self._high)
            document["unreadable"] = self.unreadable
        elif self.distinct:
            document["top"] = [shorten(value, 30) for value, _ in self.distinct.most_common(5)]
        return document



def profile_columns(path: str, dialect: dict, names: List[str], counts: RowCounts) -> List[Column]:
    """Reads the whole file once and returns its columns, settled."""
    distinct_max = max(_FEW_VALUES, min(_DISTINCT_MAX, _DISTINCT_TOTAL_MAX // len(names)))
    columns = [Column(name, index, dialect, distinct_max) for index, name in enumerate(names)]
    for block in _blocks(read_rows(path, dialect, counts), len(names)):
        for column, cells in zip(columns, zip(*block)):
            column.add(cells)
    for column in columns:
        column.finish()
    return columns


def _day(ordinal: float) -> str:
    return date.fromordinal(int(ordinal)).isoformat()


def _blocks(rows: Iterator[List[str]], width: int) -> Iterator[List[List[str]]]:
    size = max(1, min(_BLOCK_ROWS_MAX, _BLOCK_CELLS // width))
    block: List[List[str]] = []
    for row in rows:
        block.append(row)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block
