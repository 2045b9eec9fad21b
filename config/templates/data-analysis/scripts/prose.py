"""The check of a model's prose against the computed figures.

A sentence is struck when a number in it is not a figure of the table or of
the profile at the precision it is written in, when its number belongs to
another row than the one it names, or when it calls a row the highest or
lowest that is not. Numbers written as words are not checked. A claim without
a figure cannot be checked: it is kept from a capable model, and struck where
the caller says that a figure is needed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Optional

from figures import format_number

_SENTENCES_MAX = 12
_NUMBER = re.compile(
    r"(?<![\w.,])(?P<sign>[-\u2212]?)[$€£]?(?P<digits>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?P<part>\.\d+)?"
    r"(?P<exponent>[eE][-+]?\d+)?(?P<scale>\s(?:thousand|million|billion)\b)?(?P<rest>[\w.,]*)"
)
_SCALES = {"thousand": 3, "million": 6, "billion": 9}
_LIST_MARK = re.compile(r"^\s*(?:[-*\u2022>#]+|\d+[.)])\s+")
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])|\n+")
_HIGHEST = re.compile(
    r"\b(?:highest|largest|biggest|greatest|heaviest|longest|tallest|most|maximum)\b", re.IGNORECASE
)
_LOWEST = re.compile(r"\b(?:lowest|smallest|least|fewest|lightest|shortest|minimum)\b", re.IGNORECASE)


@dataclass
class Verdict:
    """One sentence, and why it was struck, if it was."""

    sentence: str
    reason: Optional[str]


class Checker:
    """Knows every figure of one result."""

    def __init__(
        self, result: dict, profile_facts: List[float], names: List[str], needs_figure: bool = False
    ) -> None:
        self._needs_figure = needs_figure
        self._rows = [row for row in result["rows"] if row]
        self._ranked_by = result["ranked_by"]
        self._whole_facts = [*profile_facts, *result["facts"], result["rows_total"]]
        self._labels = {str(row[0]): row for row in self._rows}
        verbatim = [*self._labels, *names, result["title"], *result["columns"]]
        self._verbatim = sorted((text for text in set(verbatim) if re.search(r"\d", text)), key=len, reverse=True)

    def check(self, prose: str) -> List[Verdict]:
        """Judges each sentence; repeated ones count once."""
        sentences = list(dict.fromkeys(split_sentences(prose)))[:_SENTENCES_MAX]
        return [Verdict(sentence, self._fault(sentence)) for sentence in sentences]

    def _fault(self, sentence: str) -> Optional[str]:
        named = self._named_rows(sentence)
        numbers = list(_NUMBER.finditer(self._without_verbatim(sentence)))
        for written in numbers:
            fault = self._number_fault(written, named)
            if fault:
                return fault
        if self._needs_figure and not numbers:
            return "it gives no figure that could be checked, and a small model wrote it"
        return self._superlative_fault(sentence, named)

    def _named_rows(self, sentence: str) -> Dict[str, list]:
        """Rows whose label stands in the sentence as a word."""
        return {label: row for label, row in self._labels.items() if _says(sentence, label)}

    def _without_verbatim(self, sentence: str) -> str:
        """Names and labels that hold digits are no figures."""
        for text in self._verbatim:
            sentence = _whole(text).sub(" ", sentence)
        return sentence

    def _number_fault(self, written: re.Match, named: Dict[str, list]) -> Optional[str]:
        shown = written[0].rstrip(".,")
        if written["rest"].strip(".,"):
            return f"{shown} cannot be read as one number"
        value, tolerance = _value_of(written)
        if any(abs(fact - value) <= tolerance for fact in self._whole_facts):
            return None
        owners = self._owners(value, tolerance)
        if not owners:
            return f"{shown} is not a figure of the table or the profile"
        if named and not any(label in named for label in owners):
            return f"{shown} belongs to {owners[0]}, not to {next(iter(named))}"
        return None

    def _owners(self, value: float, tolerance: float) -> List[str]:
        """The rows that hold the number."""
        return [
            label
            for label, row in self._labels.items()
            if any(not isinstance(cell, str) and abs(cell - value) <= tolerance for cell in row)
        ]

    def _superlative_fault(self, sentence: str, named: Dict[str, list]) -> Optional[str]:
        """Judges "X has the highest" when exactly one row is named."""
        high, low = _HIGHEST.search(sentence), _LOWEST.search(sentence)
        if self._ranked_by is None or len(named) != 1 or bool(high) == bool(low):
            return None
        pick = max if high else min
        extreme = pick(row[self._ranked_by] for row in self._rows)
        label, row = next(iter(named.items()))
        if row[self._ranked_by] == extreme:
            return None
        right = next(other[0] for other in self._rows if other[self._ranked_by] == extreme)
        return f"{(high or low)[0].lower()} is {right} with {format_number(extreme)}, not {label}"


def split_sentences(prose: str) -> List[str]:
    """Sentences without list marks, code fences and blank lines."""
    sentences = []
    for line in prose.splitlines():
        if line.strip().startswith("```"):
            continue
        text = _LIST_MARK.sub("", line)
        sentences.extend(" ".join(part.split()) for part in _END.split(text) if part.strip())
    return sentences


def _says(sentence: str, label: str) -> bool:
    return bool(label) and _whole(label).search(sentence) is not None


def _whole(text: str) -> re.Pattern:
    """The text standing alone, not within a word or a number."""
    return re.compile(rf"(?<![\w.,]){re.escape(text)}(?![\w]|[.,]\d)", re.IGNORECASE)


def _value_of(written: re.Match) -> tuple:
    """(the number, half a unit of its last written place)."""
    part = written["part"] or ""
    power = int((written["exponent"] or "e0")[1:])
    power += _SCALES.get((written["scale"] or "").strip(), 0)
    power = max(-300, min(300, power))
    value = float(f"{written['digits'].replace(',', '')}{part}e{power}")
    decimals = max(0, len(part) - 1)
    tolerance = 0.5 * 10.0 ** (power - decimals) * (1 + 1e-9)
    return (-value if written["sign"] else value), tolerance
