"""The rows of a file as a stream, each made to fit the header.

Memory stays that of one row: callers decide what to keep.
"""

from __future__ import annotations

import csv
from typing import Iterator, List

from request import Failure

# Long enough for any real cell, short enough that a quote that never closes
# is noticed before memory is.
_FIELD_CHARS_MAX = 8 << 20


class RowCounts:
    """What had to be repaired while reading."""

    def __init__(self) -> None:
        self.rows = 0
        self.short = 0
        self.long = 0
        self.blank = 0


def read_rows(path: str, dialect: dict, counts: RowCounts) -> Iterator[List[str]]:
    """Yields data rows of exactly `dialect["width"]` cells.

    Short rows are filled with empty cells, long rows are cut, and both are
    counted; a trailing delimiter alone does not make a row long.
    """
    csv.field_size_limit(_FIELD_CHARS_MAX)
    width = dialect["width"]
    with open(path, encoding=dialect["encoding"], newline="", errors="replace") as handle:
        for _ in range(dialect["preamble_lines"]):
            handle.readline()
        reader = _records(handle, dialect)
        if dialect["header"]:
            next((record for record in reader if record), None)
        for record in reader:
            if not record:
                counts.blank += 1
                continue
            counts.rows += 1
            yield record if len(record) == width else _fit(record, width, counts)


def _records(handle, dialect: dict) -> Iterator[List[str]]:
    lines = (line.replace("\0", "") for line in handle)
    reader = csv.reader(lines, delimiter=dialect["delimiter"], skipinitialspace=True)
    try:
        yield from reader
    except csv.Error as error:
        raise Failure(f"line {reader.line_num:,} cannot be read: {error}; a quote may never close")


def _fit(record: List[str], width: int, counts: RowCounts) -> List[str]:
    if len(record) < width:
        counts.short += 1
        return record + [""] * (width - len(record))
    if any(cell.strip() for cell in record[width:]):
        counts.long += 1
    return record[:width]
