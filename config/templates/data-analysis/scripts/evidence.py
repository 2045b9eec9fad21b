"""What the words of a question say about columns, values and operations.

The evidence is lexical: a column counts when the words of its name are in the
question, a filter when a value of a text column is, an operation when one of
the phrases in `cues` is. Nothing is guessed: where the words leave several
readings, all are kept and the model chooses among them.
"""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Set, Union

from columns import NUMBER_KINDS, TEXT_KINDS, Column
from cues import Cues
from words import RELATED, STOP_WORDS, find_phrase, name_words, words

_GROUP_WORDS = {"by", "per", "each", "every", "across", "which", "between", "over", "and"}
_FILTER_WORDS = {"in", "on", "among", "within", "for", "from", "of", "with", "at"}
_YEAR = re.compile(r"(?:18|19|20|21)\d\d")
# Phrases that speak of a point in time, never of an amount.
_TIME_PHRASES = ("in", "during", "from", "since", "after", "before")
_PLAIN_NUMBER = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?|\d+(\.\d+)?")


class Evidence:
    """The reading of one question over one file's columns."""

    def __init__(self, question: str, columns: List[Column], file_name: str) -> None:
        self.cues = Cues(question)
        self.notes: List[str] = []
        self.limits: List[str] = [f"The question asks for {what}." for what in self.cues.beyond]
        self.conditions: List[dict] = []
        self.focus: Optional[str] = None
        self._text = question.casefold()
        self._words = words(question)
        self._cue_words = {word for phrase in self.cues.used_phrases for word in words(phrase)}
        self._used: Set[str] = set(self._cue_words) | set(words(file_name.rsplit(".", 1)[0]))
        self._columns = columns
        self._full: List[Column] = []
        self.mentioned = self._find_columns()
        self._found_values = self._find_values()
        self._read_comparisons()
        self._assign_roles()
        self.operations = self._decide_operations()
        self._read_values()
        self.unmatched = self._unmatched_words(question)

    @property
    def matched_any(self) -> bool:
        """True when some word of the question relates to the file's content."""
        return bool(self.mentioned or self._found_values or self.conditions)

    # Columns

    def _find_columns(self) -> List[Column]:
        """Columns named in full, then those that share an unexplained word."""
        matches = {column: self._positions(column) for column in self._columns}
        self._full = [c for c, found in matches.items() if found and len(found) >= len(set(name_words(c.name)))]
        spans = {column: {spot for spots in matches[column].values() for spot in spots} for column in self._full}
        self._full = [c for c in self._full if not any(spans[c] < spans[other] for other in self._full)]
        covered = {spot for column in self._full for spot in spans[column]}
        found = {column: self._first(matches[column]) for column in self._full}
        for column in self._partly_named(matches, covered):
            found[column] = self._first(matches[column])
        ordered = sorted(found, key=lambda column: (found[column], column.index))
        for column in ordered:
            self._note_column(column, matches[column])
        return ordered

    def _positions(self, column: Column) -> Dict[str, List[int]]:
        """Word of the column's name -> where the question has it."""
        names = set(name_words(column.name))
        found: Dict[str, List[int]] = {}
        for position, word in enumerate(self._words):
            if word in STOP_WORDS and len(names) > 1:
                continue
            for name in names.intersection((word, *RELATED.get(word, ()))):
                found.setdefault(name, []).append(position)
        if len(names) == 1 and names & STOP_WORDS:
            return {}
        return found

    def _partly_named(self, matches: dict, covered: set) -> List[Column]:
        """The columns that share most with a word no full name accounts for."""
        best: Dict[int, float] = {}
        scores = {}
        for column, found in matches.items():
            spots = (position for positions in found.values() for position in positions)
            open_positions = {position for position in spots if self._is_open(position, covered)}
            if not open_positions:
                continue
            score = len(found) / len(set(name_words(column.name)))
            scores[column] = (score, open_positions)
            for position in open_positions:
                best[position] = max(best.get(position, 0.0), score)
        return [
            column
            for column, (score, positions) in scores.items()
            if any(score == best[position] for position in positions)
        ]

    def _is_open(self, position: int, covered: set) -> bool:
        """True for words that no full name and no other cue accounts for."""
        word = self._words[position]
        return position not in covered and (word not in self._cue_words or word in RELATED)

    @staticmethod
    def _first(found: Dict[str, List[int]]) -> int:
        return min(position for spots in found.values() for position in spots)

    def _note_column(self, column: Column, found: Dict[str, List[int]]) -> None:
        seen = sorted({position for spots in found.values() for position in spots})
        said = list(dict.fromkeys(self._words[position] for position in seen))
        self._used.update(said)
        self.notes.append(f'the words "{self._original(said)}" name the column {column.name}')

    def _original(self, said: List[str]) -> str:
        """The words as the person wrote them."""
        written = {words(word)[0]: word for word in re.findall(r"[^\W_]+", self._text) if words(word)}
        return " ".join(written.get(word, word) for word in said)

    # Values

    def _find_values(self) -> List[dict]:
        """Values of text columns that stand in the question, longest first."""
        present = set(self._words)
        found = []
        for column in self._columns:
            if column.kind not in ("category", "id", "text") or not column.distinct:
                continue
            for value in column.distinct:
                said = words(value)
                if said and said[0] in present and self._speaks(said, column):
                    position = find_phrase(said, self._words)
                    if position >= 0:
                        found.append({"column": column, "value": value, "at": position, "end": position + len(said)})
        return self._longest(found)

    def _speaks(self, said: List[str], column: Column) -> bool:
        """False for values that are only common words or digits."""
        if all(word in STOP_WORDS or len(word) < 2 or word.isdigit() for word in said):
            return False
        named = {word for full in self._full for word in name_words(full.name)}
        known = named | self._cue_words
        return column in self._full or not all(word in known for word in said)

    def _longest(self, found: List[dict]) -> List[dict]:
        """Drops values within longer ones; of equal ones, a named column's wins."""
        found.sort(
            key=lambda match: (match["at"] - match["end"], match["column"] not in self._full, match["column"].index)
        )
        kept: List[dict] = []
        for match in found:
            if any(match["at"] < other["end"] and other["at"] < match["end"] for other in kept):
                continue
            kept.append(match)
            self._used.update(self._words[match["at"] : match["end"]])
        return sorted(kept, key=lambda match: match["at"])

    # Numbers and years in the question

    def _read_comparisons(self) -> None:
        numbers = [column for column in self.mentioned if column.kind in NUMBER_KINDS]
        for phrase, test, number, start in self.cues.comparisons:
            column = self._compared_column(phrase, number, start, numbers)
            if column is None:
                self.limits.append(f'The condition "{phrase} {number}" names no column it could apply to.')
                continue
            self._used.update(words(number))
            label = f"year of {column.name}" if column.kind == "date" else column.name
            value = float(number.replace(",", ""))
            shown = number if column.kind == "date" or column.is_year() else f"{value:,g}"
            self._add_condition(column, test, value, f"{label} {test} {shown}")

    def _compared_column(self, phrase: str, number: str, start: int, numbers: List[Column]) -> Optional[Column]:
        if _YEAR.fullmatch(number) and (phrase in _TIME_PHRASES or not numbers):
            times = [column for column in self._columns if column.kind == "date" or column.is_year()]
            if times:
                return next((column for column in times if column in self.mentioned), times[0])
        if phrase in _TIME_PHRASES or not numbers or not _PLAIN_NUMBER.fullmatch(number):
            return None
        before = set(words(self._text[:start]))
        return next((c for c in reversed(numbers) if before & set(name_words(c.name))), numbers[0])

    def _add_condition(self, column: Column, test: str, value: Union[str, float], label: str) -> None:
        self.conditions.append({"column": column.name, "test": test, "value": value, "label": label})
        self.notes.append(f"only rows with {label} are used")

    # Roles

    def _assign_roles(self) -> None:
        """Sorts the mentioned columns into what is measured and what groups."""
        compared = {condition["column"] for condition in self.conditions}
        self.values = [c for c in self.mentioned if c.kind in NUMBER_KINDS and not self._groups_by(c)]
        if self._asked("count") and len(self.values) == 1 and self.values[0].name in compared:
            self.values = []
        self.groups = [c for c in self.mentioned if c.kind in TEXT_KINDS + ("date",) or self._groups_by(c)]
        self.groups = [c for c in self.groups if c.name not in compared and not self._is_subject(c)]
        self._group_by_named_values()
        self.times = [column for column in self._columns if column.kind == "date" or column.is_year()]
        asks_time = self._asked("trend") or self.cues.period is not None
        if asks_time and self.times and not any(column in self.times for column in self.groups):
            self.groups.insert(0, self.times[0])
            self.notes.append(f"time is read from the column {self.times[0].name}")

    def _groups_by(self, column: Column) -> bool:
        """A number column that the question uses to form groups."""
        if column.kind not in NUMBER_KINDS or not (column.few_values() or column.is_year()):
            return False
        spots = [spot for found in self._positions(column).values() for spot in found]
        cued = any(spot > 0 and self._words[spot - 1] in _GROUP_WORDS for spot in spots)
        return cued or (column.is_year() and len(self.mentioned) > 1)

    def _is_subject(self, column: Column) -> bool:
        """True for a column that only shares the noun of "how many orders"."""
        spots = [spot for found in self._positions(column).values() for spot in found]
        counted = all(self._words[max(0, spot - 2) : spot] in (["how", "many"], ["number", "of"]) for spot in spots)
        return counted and column not in self._full

    def _group_by_named_values(self) -> None:
        """Two values of one column ask for a comparison of its groups."""
        named = [match["column"] for match in self._found_values]
        for column in dict.fromkeys(named):
            if named.count(column) > 1 and column not in self.groups:
                self.groups.append(column)
                self.notes.append(f"several values of {column.name} are named, so rows are grouped by it")

    # Operations

    def _asked(self, operation: str) -> bool:
        return any(name == operation for name, _ in self.cues.operations)

    def _decide_operations(self) -> List[str]:
        """The operations the words allow; empty when they say nothing."""
        asked = self._explicit_operations()
        if asked:
            for operation, phrase in self.cues.operations:
                if operation in asked:
                    self.notes.append(f'"{phrase}" asks for the operation {operation}')
            return asked
        if self.cues.superlative and (self.mentioned or self._found_values):
            decided = self._superlative_operations()
            self.notes.append(f'"{self.cues.superlative}" is read as {" or ".join(decided)}')
            return decided
        return self._implied_operations()

    def _explicit_operations(self) -> List[str]:
        asked = [(name, phrase) for name, phrase in self.cues.operations if name != "compare"]
        named = {word for column in self._full for word in name_words(column.name)}
        free = [pair for pair in asked if not set(words(pair[1])) <= named]
        operations = [name for name, _ in (free or asked)]
        if "trend" in operations and len(operations) > 1:
            operations.remove("trend")
        if "count" in operations and len(operations) > 1:
            operations.remove("count")
        if operations == ["correlation"] and len(self.values) < 2 and self.groups:
            return ["mean"] if self.values else ["count"]
        if operations == ["count"] and self.values and not self.conditions:
            return ["sum", "count"]
        if len(operations) > 1:
            self.limits.append(f"One run computes one operation; the question names {', '.join(operations)}.")
        return operations

    def _superlative_operations(self) -> List[str]:
        extreme = "max" if self.cues.order == "desc" else "min"
        if not self.values:
            return ["count"] if self.groups else []
        if not self.groups or not self.groups[0].has_repeats():
            return [extreme]
        if self.cues.of_quality:
            return ["mean"]
        return ["sum"] if self.cues.of_amount else ["mean", "sum", extreme]

    def _implied_operations(self) -> List[str]:
        if self._asked("compare") and self.values:
            return ["mean"]
        if self.values and self.groups:
            return ["mean", "median", "sum"]
        if len(self.values) == 2:
            return ["correlation", "mean"]
        if self.values:
            return ["mean", "median", "sum", "distribution"]
        if self.groups or self._found_values or self.conditions:
            return ["count", "share"] if self.groups else ["count"]
        return []

    # What the found values mean, once the operation is known

    def _read_values(self) -> None:
        """Values become the share's subject or filters, save those compared."""
        single = [match for match in self._found_values if not self._compares(match)]
        if self.operations == ["share"] and single:
            asked = self._share_subject(single)
            self.focus = asked["value"]
            if asked["column"] in self.groups:
                self.groups.remove(asked["column"])
            self.groups.insert(0, asked["column"])
            self.notes.append(f'the share asked for is that of {asked["column"].name} = {asked["value"]}')
            single.remove(asked)
        for match in single:
            column = match["column"]
            label = f'{column.name} = {match["value"]}'
            self._add_condition(column, "=", match["value"], label)
            if column in self.groups:
                self.groups.remove(column)

    def _compares(self, match: dict) -> bool:
        """True when another value of the same column is named too."""
        return sum(other["column"] is match["column"] for other in self._found_values) > 1

    def _share_subject(self, matches: List[dict]) -> dict:
        """Of "what share of Adelie are male" the value asked for is "male"."""
        subjects = [m for m in matches if not (m["at"] and self._words[m["at"] - 1] in _FILTER_WORDS)]
        return (subjects or matches)[-1]

    def _unmatched_words(self, question: str) -> List[str]:
        left = []
        for written in re.findall(r"[^\W_]+", question):
            word = (words(written) or [""])[0]
            if word and word not in STOP_WORDS and word not in self._used and written not in left:
                left.append(written)
        return left
