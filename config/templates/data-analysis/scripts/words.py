"""Words of a question and of a column name, brought to one form.

Case, accents, underscores, camelCase and plain English plurals are taken
away, so that "Bill lengths" and `bill_length_mm` meet. This is matching of
words, not understanding: synonyms are only those listed here.
"""

from __future__ import annotations

import re
import unicodedata
from typing import List

_UNITS = frozenset(
    "mm cm m km g kg mg lb oz ml l usd eur gbp pct percent sec ms hour hr celsius fahrenheit".split()
)

# A word of the question that also speaks for columns named otherwise.
_RELATED = {
    ("mass", "weight"): "heavy heavier heaviest light lighter lightest weigh weight mass",
    ("length",): "long longer longest short shorter shortest",
    ("height",): "tall taller tallest",
    ("age",): "old older oldest young younger youngest",
    ("price", "cost"): "expensive cheap cheaper cheapest priciest price cost",
    ("temperature", "temp"): "hot hotter hottest cold colder coldest warm warmest temperature",
    ("speed",): "fast faster fastest slow slower slowest",
    ("sale", "revenue"): "sale sell sold revenue turnover",
    ("salary", "income", "wage"): "salary earn income wage paid",
}
RELATED = {word: names for names, line in _RELATED.items() for word in line.split()}

STOP_WORDS = frozenset(
    """a about all am an and any are as at be been being by can could data dataset did do does each
    every file find for from get give had has have her his how i in into is it its kind let list made
    make many me much my of off on one only or our out over per please record row rows show
    some such table tell than that the their them then there these they this those to under up us use
    value was we were what when where which while who whose with within would you your
    among across between column csv""".split()
)


def words(text: str) -> List[str]:
    """The words of a text in matching form, in order."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    plain = unicodedata.normalize("NFKD", spaced)
    plain = "".join(mark for mark in plain if not unicodedata.combining(mark))
    return [_singular(word) for word in re.findall(r"[^\W_]+", plain.casefold())]


def name_words(name: str) -> List[str]:
    """The words of a column name without the units at its end."""
    found = words(name)
    while len(found) > 1 and found[-1] in _UNITS:
        found.pop()
    return found


def _singular(word: str) -> str:
    if len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


def find_phrase(phrase: List[str], text: List[str]) -> int:
    """Where the phrase begins in the text, or -1."""
    for start in range(len(text) - len(phrase) + 1):
        if text[start : start + len(phrase)] == phrase:
            return start
    return -1
