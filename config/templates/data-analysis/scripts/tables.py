"""The result table as a CSV file that a spreadsheet opens safely."""

from __future__ import annotations

import csv
from typing import List

from figures import Figure

# A text cell that begins with one of these is run as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_table(path: str, columns: List[str], rows: List[List[Figure]]) -> None:
    """Writes the header and every row, quoted where needed."""
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(guard(column) for column in columns)
        writer.writerows([guard(cell) for cell in row] for row in rows)


def guard(cell: Figure) -> Figure:
    """Text that a spreadsheet would run gets a leading apostrophe."""
    if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS):
        return "'" + cell
    return cell
