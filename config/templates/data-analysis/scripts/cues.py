"""English phrases that ask for an operation, an order, a period or a limit.

The lists are finite on purpose: a phrase that is not here is not understood,
and the report names the words that were not used.
"""

from __future__ import annotations

import re
from typing import List, Optional, Tuple

_OPERATIONS = (
    ("count", r"how many|number of|counts?|counted|counting|how often|frequen\w+|most common|least common"),
    ("share", r"percent\w*|shares?|proportions?|fractions?"),
    ("sum", r"totals?|sums?|altogether|combined"),
    ("mean", r"averages?|means?|typical|typically|avg"),
    ("median", r"medians?"),
    ("distribution", r"distribut\w+|histograms?|spread|range of|var(?:y|ies|iation)"
     r"|summar\w+|descri\w+|standard deviation|quartiles?"),
    ("correlation", r"correlat\w+|relationships?|related?|associat\w+|depends?|influences?|affects?|versus|vs"),
    ("trend", r"over time|over the years|trends?|evolv\w+|growth|grow|grew|grown"),
    ("compare", r"compar\w+|differ\w*|more than|less than"),
)
_HIGH = (
    r"(?<!at )most|highest|largest|biggest|greatest|maximum|max|best|top|longest|heaviest|tallest"
    r"|oldest|hottest|warmest|fastest|priciest"
)
_LOW = (
    r"(?<!at )least|lowest|smallest|minimum|min|fewest|worst|bottom|shortest|lightest|youngest"
    r"|coldest|slowest|cheapest"
)
# Superlatives of a quality speak of a group's mean, not of its sum.
_QUALITIES = re.compile(
    r"\b(?:longest|heaviest|tallest|oldest|hottest|warmest|fastest|priciest|shortest|lightest"
    r"|youngest|coldest|slowest|cheapest|most expensive)\b"
)
_AMOUNTS = re.compile(r"\b(?:(?<!at )most|(?<!at )least|fewest)\b")
_GROUPING = re.compile(r"\b(?:by|per|each|every|across|which|between|for all|grouped)\b")
_PERIODS = (
    ("day", r"daily|(?:per|by|each|every) day"),
    ("week", r"weekly|(?:per|by|each|every) week"),
    ("month", r"monthly|(?:per|by|each|every) month"),
    ("quarter", r"quarterly|(?:per|by|each|every) quarter"),
    ("year", r"yearly|annual(?:ly)?|(?:per|by|each|every|over the) years?"),
)
_BEYOND = (
    ("a forecast: the operations describe only what the file holds",
     r"predict\w*|forecast\w*|will|next (?:year|month|week|quarter)|in the future|project(?:ed|ion)s?"),
    ("a cause: the operations show figures, not reasons",
     r"why|causes?|caused|because|reasons?"),
    ("advice or a judgement: the operations only compute figures",
     r"should|recommend\w*|advi[cs]e"),
    ("a statistical test or model: only descriptive figures are computed",
     r"significan\w+|p-value|regression|cluster\w*|classif\w+|confidence interval|anova|t-test"),
    ("variance or percentiles: the distribution gives the standard deviation and quartiles",
     r"variance|percentiles?"),
)
_COMPARISONS = re.compile(
    r"\b(above|over|more than|greater than|at least|exceed(?:s|ing)?|below|under|less than"
    r"|fewer than|at most|up to|since|after|before|in|during|from)\s+[$€£]?(\d[\d.,]*)"
)
_TESTS = {
    "above": ">", "over": ">", "more than": ">", "greater than": ">", "after": ">",
    "exceed": ">", "exceeds": ">", "exceeding": ">", "at least": ">=", "since": ">=",
    "below": "<", "under": "<", "less than": "<", "fewer than": "<", "before": "<",
    "at most": "<=", "up to": "<=", "in": "=", "during": "=", "from": "=",
}


class Cues:
    """What the phrases of one question ask for."""

    def __init__(self, question: str) -> None:
        text = question.casefold()
        self.operations: List[Tuple[str, str]] = []
        self.used_phrases: List[str] = []
        for operation, pattern in _OPERATIONS:
            phrase = self._search(pattern, text)
            if phrase:
                self.operations.append((operation, phrase))
        self.order: Optional[str] = None
        self.superlative = self._search(_HIGH, text)
        if self.superlative:
            self.order = "desc"
        else:
            self.superlative = self._search(_LOW, text)
            self.order = "asc" if self.superlative else None
        self.of_quality = bool(_QUALITIES.search(text))
        self.of_amount = bool(_AMOUNTS.search(text)) and not self.of_quality
        self.asks_groups = bool(_GROUPING.search(text))
        self.period = next((name for name, pattern in _PERIODS if self._search(pattern, text)), None)
        self.beyond = [what for what, pattern in _BEYOND if self._search(pattern, text)]
        self.comparisons = [
            (match[1], _TESTS[match[1]], match[2].rstrip(".,"), match.start())
            for match in _COMPARISONS.finditer(text)
        ]

    def _search(self, pattern: str, text: str) -> Optional[str]:
        match = re.search(rf"\b(?:{pattern})\b", text)
        if match:
            self.used_phrases.append(match[0])
        return match[0] if match else None
