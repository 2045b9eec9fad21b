"""How a file is written: encoding, delimiter, header, decimal mark, dates.

`csv.Sniffer` guesses a delimiter from character counts and is often wrong on
text with commas. Here each candidate parses a sample, quotes respected, and
the candidate that yields the most regular table wins.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from dataclasses import asdict, dataclass
from typing import List, Optional

from cells import MISSING, date_parser, number_parser, vote_date_order, vote_decimal
from request import Failure

_SAMPLE_BYTES = 1 << 18
_SAMPLE_RECORDS = 300
_COLUMNS_MAX = 5_000
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
_DECIMALS = {"point": ".", "comma": ","}
# A candidate must be at least this regular, or the file has one column.
_REGULAR_ENOUGH = 0.4
_NEARLY_ALL = 0.9

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY_STARTS = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook; save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save the sheet as CSV"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "gzip compressed; unpack it first"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"PAR1", "a Parquet file; export it as CSV"),
)


@dataclass
class Dialect:
    """Everything needed to read the file the same way again."""

    encoding: str
    delimiter: str
    decimal: str
    date_order: str
    header: bool
    # Lines before the table ("sep=;" is one).
    preamble_lines: int
    names: List[str]

    def to_json(self) -> dict:
        """The dialect without the names, which the profile lists itself."""
        document = asdict(self)
        document["width"] = len(document.pop("names"))
        return document


def detect_dialect(path: str, params: dict) -> Dialect:
    """Reads a sample of the file; parameters override what was detected."""
    encoding = _detect_encoding(path)
    with open(path, encoding=encoding, newline="") as handle:
        text = handle.read(_SAMPLE_BYTES).replace("\0", "")
    if not text.strip():
        raise Failure("the file is empty")
    declared = _declared_delimiter(text)
    if declared:
        text = text.split("\n", 1)[1] if "\n" in text else ""
    delimiter = _DELIMITERS.get(params.get("delimiter", "auto")) or declared or _detect_delimiter(text)
    records = _records(text, delimiter)
    if not records:
        raise Failure("the file is empty")
    return _describe(encoding, delimiter, records, 1 if declared else 0, params)


def _describe(encoding: str, delimiter: str, records: list, preamble: int, params: dict) -> Dialect:
    cells = [cell.strip() for record in records[1:] or records for cell in record]
    decimal = _DECIMALS.get(params.get("decimal", "auto")) or vote_decimal(cells, delimiter)
    order = params.get("date_order", "auto")
    if order == "auto":
        order = vote_date_order(cells, decimal)
    header = not _is_data(records[0], decimal, order)
    names = _column_names(records, header)
    if len(names) > _COLUMNS_MAX:
        raise Failure(f"the file has {len(names):,} columns; at most {_COLUMNS_MAX:,} can be analysed")
    return Dialect(encoding, delimiter, decimal, order, header, preamble, names)


def _detect_encoding(path: str) -> str:
    with open(path, "rb") as handle:
        start = handle.read(1 << 16)
        _refuse_binary(start)
        for mark, encoding in _BYTE_ORDER_MARKS:
            if start.startswith(mark):
                return encoding
        handle.seek(0)
        return _first_decoding(handle)


def _refuse_binary(start: bytes) -> None:
    for magic, what in _BINARY_STARTS:
        if start.startswith(magic):
            raise Failure(f"the file is not a CSV file: it is {what}")
    if any(start.startswith(mark) for mark, _ in _BYTE_ORDER_MARKS):
        return
    control = sum(start.count(bytes([code])) for code in range(32) if code not in (9, 10, 12, 13))
    if b"\0" in start or control > len(start) / 100:
        raise Failure("the file is not a CSV file: it holds binary data")


def _first_decoding(handle: io.BufferedReader) -> str:
    """UTF-8 if the whole file is, else the encodings that older tools write."""
    for encoding in ("utf-8", "cp1252"):
        decoder = codecs.getincrementaldecoder(encoding)()
        handle.seek(0)
        try:
            for block in iter(lambda: handle.read(1 << 20), b""):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _declared_delimiter(text: str) -> Optional[str]:
    """The delimiter of a first line "sep=;", which Excel writes."""
    line = text.split("\n", 1)[0].rstrip("\r")
    return line[4:] if line.lower().startswith("sep=") and len(line) == 5 else None


def _detect_delimiter(text: str) -> str:
    unused = [delimiter for delimiter in _DELIMITERS.values() if delimiter not in text]
    best, best_score = (unused or [","])[0], (_REGULAR_ENOUGH, 1)
    for delimiter in _DELIMITERS.values():
        score = _score(_records(text, delimiter))
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _records(text: str, delimiter: str) -> list:
    """The sample's records, without blank ones and the one cut at its end."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    records = []
    try:
        for record in reader:
            if record:
                records.append(record)
            if len(records) > _SAMPLE_RECORDS:
                break
    except csv.Error:
        return []
    was_cut = len(text) >= _SAMPLE_BYTES or len(records) > _SAMPLE_RECORDS
    return records[:-1] if was_cut and len(records) > 1 else records


def _score(records: list) -> tuple:
    """(how regular the table is from 0 to 1, its width)."""
    if not records:
        return (0.0, 0)
    width = _modal_width(records)
    if width < 2:
        return (0.0, 1)
    regular = sum(len(record) == width for record in records) / len(records)
    cells = [cell for record in records for cell in record]
    clean = sum(not _holds_delimiter(cell) for cell in cells) / len(cells)
    # A first line without the delimiter speaks against it: every line of
    # "name" / "Smith, John" / "Jones, Ann" but the header has a comma.
    header_agrees = 1.0 if len(records[0]) > 1 else 0.4
    return (regular * clean * header_agrees, width)


def _holds_delimiter(cell: str) -> bool:
    if not any(mark in cell for mark in _DELIMITERS.values()):
        return False
    return all(number_parser(decimal)(cell.strip()) is None for decimal in ".,")


def _modal_width(records: list) -> int:
    widths = Counter(len(record) for record in records)
    return max(widths, key=lambda width: (widths[width], width))


def _is_data(record: list, decimal: str, order: str) -> bool:
    """True when the first record holds only numbers, dates and gaps."""
    parse_number, parse_date = number_parser(decimal), date_parser(order)
    present = [cell.strip() for cell in record if cell.strip() not in MISSING]
    return bool(present) and all(
        parse_number(cell) is not None or parse_date(cell) is not None for cell in present
    )


def _column_names(records: list, header: bool) -> List[str]:
    if not header:
        return [f"column_{number}" for number in range(1, _modal_width(records) + 1)]
    names, rows = list(records[0]), records[1:]
    longer = [row for row in rows if len(row) == len(names) + 1 and row[-1].strip()]
    if longer and len(longer) > _NEARLY_ALL * len(rows):
        # R writes row names without a name for their column.
        names.insert(0, "row_name")
    return unique_names(names)


def unique_names(names: list) -> List[str]:
    """Names without blanks or repeats; "none" is kept for "no column"."""
    taken = {"none"}
    result = []
    for number, name in enumerate(names, start=1):
        base = " ".join(name.split()) or f"column_{number}"
        candidate, copy = base, 2
        while candidate.casefold() in taken:
            candidate, copy = f"{base}_{copy}", copy + 1
        taken.add(candidate.casefold())
        result.append(candidate)
    return result
