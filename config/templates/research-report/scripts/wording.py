"""Words, sentences, numbers and names of a text: what the ranking and the check share."""

from __future__ import annotations

import re
import unicodedata
from typing import List, Set

_ABBREVIATIONS = "".join(
    rf"(?<!\b{short}\.)" for short in ("Dr", "Mr", "Ms", "Mrs", "St", "vs", r"e\.g", r"i\.e", "ca", "approx", "[A-Z]")
)
_END = re.compile(
    _ABBREVIATIONS + r"(?<=[.!?\]])[\"'\u201d\u2019)\]]*\s+(?=[\"'\u201c(\[]?[^\W_a-z])|\n\s*\n|\n(?=\s*[-*\u2022])"
)
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_NUMBER = re.compile(r"(?<![\w.,])[-\u2212]?\d+(?:[,\u202f ]\d{3})*(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\d])")
_NAME = re.compile(r"\b[A-Z][\w'\u2019-]*")
_SENTENCE_CHARS_MAX = 600
STOP_WORDS = set(
    "a about above after again all also although an and another any are as at be because been before being below between both but "
    "by can could did do does doing down during each either even every few for from further had has have having he her here hers "
    "him his how however i if in into is it its itself just like made main many may me might more most much must my neither no nor "
    "not now of off on once one only onto or other our out over own per same several she should since so some such than that the "
    "their them then there therefore these they this those through thus to too under until up upon us use used very was we were "
    "what when where which while who whom whose why will with within without would yet you your according source sources states "
    "says said overall additionally furthermore moreover finally together similarly meanwhile instead despite although based given "
    "notably specifically generally currently today first second third".split()
)
_NUMBER_WORDS = dict(zip("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty".split(), range(21)))  # fmt: skip
_NUMBER_WORDS.update({"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100,
    "thousand": 1_000, "million": 10**6, "billion": 10**9, "dozen": 12})  # fmt: skip
NEGATIONS = {
    "not",
    "no",
    "never",
    "none",
    "nobody",
    "nothing",
    "neither",
    "nor",
    "cannot",
    "without",
    "hardly",
    "failed",
    "denied",
}
_OPPOSITES = [
    ("increas", "decreas"), ("rose", "fell"), ("rise", "fall"), ("rising", "falling"), ("more", "fewer"), ("more", "less"), ("higher", "lower"),
    ("highest", "lowest"), ("larger", "smaller"), ("largest", "smallest"), ("before", "after"), ("above", "below"), ("first", "last"),
    ("won", "lost"), ("gain", "loss"), ("open", "clos"), ("longer", "shorter"), ("longest", "shortest"), ("older", "younger"),
    ("oldest", "youngest"), ("best", "worst"), ("most", "least"), ("safe", "unsafe"), ("true", "false"), ("faster", "slower"),
]  # fmt: skip


def tidy(text: str) -> str:
    """Text on one line, in one form of each character, with plain quotes."""
    text = unicodedata.normalize("NFKC", text)
    for fancy, plain in (
        ("\u201c", '"'),
        ("\u201d", '"'),
        ("\u2018", "'"),
        ("\u2019", "'"),
        ("\u2212", "-"),
        ("\u2013", "-"),
        ("\u2014", "-"),
    ):
        text = text.replace(fancy, plain)
    return " ".join("".join(mark if mark.isprintable() or mark.isspace() else " " for mark in text).split())


def sentences(text: str) -> List[str]:
    """The sentences of a text, each on one line; long ones are cut."""
    found = []
    for part in _END.split(text):
        line = tidy(part or "")
        if line:
            found.append(line[:_SENTENCE_CHARS_MAX])
    return found


def stem(word: str) -> str:
    """A word without its commonest English endings."""
    word = word.lower().replace("\u2019", "'").removesuffix("'s")
    for ending in ("ies", "ing", "ed", "es", "s", "ly", "e"):
        if len(word) - len(ending) >= 4 and word.endswith(ending):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def content(text: str) -> List[str]:
    """The stems of the words that carry meaning."""
    words = [word for word in _WORD.findall(text) if word.lower() not in STOP_WORDS and len(word) > 1]
    return [stem(word) for word in words if word.lower() not in _NUMBER_WORDS and word.lower() not in NEGATIONS]


def numbers(text: str) -> Set[float]:
    """Every number of a text, also those written as one word."""
    found = set()
    for match in _NUMBER.finditer(text):
        digits = re.sub(r"[,\u202f ]", "", match[0]).replace("\u2212", "-")
        try:
            found.add(abs(float(digits)))
        except (ValueError, OverflowError):
            continue
    found.update(float(_NUMBER_WORDS[word]) for word in re.findall(r"[a-z]+", text.lower()) if word in _NUMBER_WORDS)
    return found


def names(text: str) -> Set[str]:
    """Words with a capital that do not begin the sentence, and those that do where they are no common word."""
    found = set()
    for match in _NAME.finditer(text):
        word = match[0].removesuffix("'s")
        if match.start() == 0 and (word.lower() in STOP_WORDS or len(word) < 3):
            continue
        if word.lower() not in STOP_WORDS:
            found.add(word.lower())
    return found


def first_word(text: str) -> str:
    """The word that begins a sentence, which has a capital whatever it is."""
    match = _WORD.search(text)
    return match[0].lower().removesuffix("'s") if match else ""


def is_negated(text: str) -> bool:
    """Whether a sentence denies something."""
    words = re.findall(r"[a-z']+", tidy(text).lower())
    return sum(word in NEGATIONS or word.endswith("n't") for word in words) % 2 == 1


def opposite(claim: str, evidence: str) -> bool:
    """Whether a word of the claim is the opposite of what the evidence says."""
    said, shown = claim.lower(), evidence.lower()

    def has(text: str, word: str) -> bool:
        return re.search(rf"\b{word}", text) is not None

    for one, other in [*_OPPOSITES, *((b, a) for a, b in _OPPOSITES)]:
        if has(said, one) and has(shown, other) and not has(shown, one):
            return True
    return False
