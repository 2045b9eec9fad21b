"""The choices that are open to the model, as a small flat JSON Schema.

Each field is an enum. Where the evidence leaves one reading the enum has one
value, so the weakest model cannot choose wrongly; where it leaves several,
all are offered, related columns first. Columns are offered by a label, which
is the column's name cut to a bearable length.
"""

from __future__ import annotations

from typing import Dict, List, Optional

from columns import NUMBER_KINDS, Column
from evidence import Evidence
from figures import format_number, shorten
from plan import CANNOT, NONE

FIELDS = ("operation", "value_column", "by_column", "filter")
_ENUM_MAX = 40
_LABEL_CHARS = 48
_FILTER_CHARS = 80
_MENU_CHARS = 1_800

_MEANINGS = {
    "count": "number of rows",
    "share": "percentage of the rows in each group",
    "sum": "total of a column",
    "mean": "average of a column",
    "median": "middle value of a column",
    "min": "smallest value of a column",
    "max": "largest value of a column",
    "distribution": "how the values of a column spread",
    "correlation": "how two number columns move together",
    "trend": "average of a column over time",
    CANNOT: "none of these answers the question",
}


class Options:
    """The open choices for one question over one file."""

    def __init__(self, evidence: Evidence, columns: List[Column]) -> None:
        self._evidence = evidence
        self._columns = columns
        self.limits: List[str] = []
        self.labels = _labels(columns)
        self.operations = self._operations()
        self.values = self._names(self._values())
        self.groups = self._names(self._groups())
        conditions = " and ".join(condition["label"] for condition in evidence.conditions)
        self.filter = shorten(conditions, _FILTER_CHARS) if conditions else NONE

    def schema(self) -> dict:
        """The JSON Schema the model's answer must satisfy."""
        enums = (self.operations, self.values, self.groups, [self.filter])
        properties = {field: {"type": "string", "enum": enum} for field, enum in zip(FIELDS, enums)}
        return {
            "type": "object",
            "properties": properties,
            "required": list(FIELDS),
            "additionalProperties": False,
        }

    def menu(self) -> str:
        """The same choices in words, for the prompt."""
        lines = ["operation:"] + [f"- {name}: {_MEANINGS[name]}" for name in self.operations]
        for field, names in (("value_column", self.values), ("by_column", self.groups)):
            lines.append(f"{field}:")
            lines.extend(f"- {self._describe(name)}" for name in names)
        lines.append(f"filter:\n- {self.filter}")
        return _within("\n".join(lines), _MENU_CHARS)

    def open_fields(self) -> Dict[str, int]:
        """How many readings each field still has, where more than one."""
        enums = zip(FIELDS, (self.operations, self.values, self.groups))
        return {field: len(enum) for field, enum in enums if len(enum) > 1}

    # Operations

    def _operations(self) -> List[str]:
        asked = self._evidence.operations
        possible = [name for name in asked or self._all_operations() if self._possible(name)]
        for name in asked:
            if name not in possible:
                self.limits.append(f"The operation {name} needs columns that this file does not have.")
        if not possible:
            possible = [name for name in self._all_operations() if self._possible(name)]
        unsupported = bool(asked) and not set(asked) & set(possible)
        if unsupported or not (asked or self._evidence.matched_any):
            possible.append(CANNOT)
        return possible

    @staticmethod
    def _all_operations() -> List[str]:
        return [name for name in _MEANINGS if name != CANNOT]

    def _possible(self, operation: str) -> bool:
        numbers = len(self._numbers())
        if operation == "count":
            return True
        if operation == "share":
            return bool(self._evidence.groups or self._groupable())
        if operation == "correlation":
            return numbers > 1
        if operation == "trend":
            return bool(self._evidence.times) and numbers > 0
        return numbers > 0

    # Columns

    def _values(self) -> List[Column]:
        if set(self.operations) <= {"count", "share", CANNOT}:
            return []
        values = self._evidence.values
        if self.operations == ["correlation"] and len(values) == 2:
            return values[:1]
        return values or self._ranked(self._numbers())

    def _groups(self) -> List[Optional[Column]]:
        """What the result is split by; for a correlation, the second column."""
        operations, evidence = set(self.operations), self._evidence
        if operations == {"correlation"}:
            return self._second_columns()
        if operations == {"trend"}:
            return [c for c in evidence.groups if c in evidence.times][:1] or evidence.times
        if evidence.groups:
            if len(evidence.groups) > 1:
                self.limits.append("One run groups by one column; the question names more than one.")
            return evidence.groups
        if operations == {"share"}:
            return self._ranked(self._groupable())
        says_nothing = not (evidence.operations or evidence.matched_any)
        if says_nothing or (evidence.cues.asks_groups and evidence.unmatched):
            return [None] + self._ranked(self._groupable() + evidence.times)
        return self._second_for_mixed()

    def _second_columns(self) -> List[Column]:
        values = self._evidence.values
        if len(values) == 2:
            return values[1:]
        if len(values) == 1:
            return self._ranked([column for column in self._numbers() if column is not values[0]])
        return self._ranked(values or self._numbers())

    def _second_for_mixed(self) -> List[Optional[Column]]:
        """Where a correlation is one of several readings, its second column."""
        if "correlation" not in self.operations or len(self._evidence.values) < 2:
            return [None]
        return [None] + self._evidence.values[1:]

    def _numbers(self) -> List[Column]:
        return [column for column in self._columns if column.kind in NUMBER_KINDS]

    def _groupable(self) -> List[Column]:
        kinds = ("boolean", "category")
        return [c for c in self._columns if c.kind in kinds or c.kind == "integer" and c.few_values()]

    def _ranked(self, columns: list) -> list:
        """Related columns first, then file order, cut to what an enum may hold."""
        unique = list(dict.fromkeys(columns))
        related = set(self._evidence.mentioned)
        return sorted(unique, key=lambda column: (column not in related, column.index))[:_ENUM_MAX]

    def _names(self, columns: list) -> List[str]:
        return [NONE if column is None else self.labels[column] for column in columns] or [NONE]

    def offered(self) -> List[Column]:
        """The columns any choice can reach, with those the filter needs."""
        names = set(self.values + self.groups)
        filtered = {condition["column"] for condition in self._evidence.conditions}
        return [c for c in self._columns if self.labels[c] in names or c.name in filtered]

    def _describe(self, label: str) -> str:
        column = next((c for c, name in self.labels.items() if name == label), None)
        if column is None:
            return label
        document = column.to_json()
        if column.kind in NUMBER_KINDS and not column.is_year():
            return f"{label}: {format_number(document['min'])} to {format_number(document['max'])}"
        if "min" in document:
            return f"{label}: {document['min']} to {document['max']}"
        return f"{label}: {', '.join(document.get('top', [])[:3])}"


def _labels(columns: List[Column]) -> Dict[Column, str]:
    """A distinct, short label for each column."""
    labels: Dict[Column, str] = {}
    taken = {NONE}
    for column in columns:
        label = shorten(column.name, _LABEL_CHARS)
        if label in taken:
            label = f"{shorten(column.name, _LABEL_CHARS - 8)} #{column.index + 1}"
        taken.add(label)
        labels[column] = label
    return labels


def _within(text: str, chars_max: int) -> str:
    """Whole lines of the text up to a length."""
    if len(text) <= chars_max:
        return text
    return text[:chars_max].rsplit("\n", 1)[0]
