"""Which sentences of which sources speak to a question: BM25 over sentences, with their neighbours."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Dict, List

from sources import Library
from wording import content, numbers

_K, _B = 1.4, 0.6
_SENTENCES_MAX = 40_000
# Fewer words than this are a heading, not a statement.
_SPACES_MIN = 3
# Text that speaks to whoever processes it instead of saying something about the world.
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,40}\b(?:instruction|prompt|previous|above|rules)|\b(?:system prompt|you are (?:now )?an? (?:ai|assistant|language model)|as an ai)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Passage:
    """A sentence of a source and how well it fits."""

    source: int
    at: int
    text: str
    score: float


def rank(library: Library, question: str) -> List[Passage]:
    """Every sentence that shares a word with the question, best first."""
    wanted = set(content(question))
    years = numbers(question)
    places = [(source.number, at, text) for source in library.sources for at, text in enumerate(source.sentences())]
    places = [
        place for place in places[:_SENTENCES_MAX] if place[2].count(" ") >= _SPACES_MIN and not gives_orders(place[2])
    ]
    bags = [Counter(content(text)) for _, _, text in places]
    average = sum(sum(bag.values()) for bag in bags) / max(1, len(bags))
    frequency: Dict[str, int] = Counter(word for bag in bags for word in bag if word in wanted)
    scored = []
    for (number, at, text), bag in zip(places, bags):
        score = sum(_weight(word, bag, frequency, len(bags), average) for word in wanted if word in bag)
        score += 0.5 * len(years & numbers(text))
        if score > 0:
            scored.append(Passage(number, at, text, score))
    scored.sort(key=lambda passage: (-passage.score, passage.source, passage.at))
    return _without_repeats(scored)


def _weight(word: str, bag: Counter, frequency: Dict[str, int], count: int, average: float) -> float:
    rarity = math.log(1 + (count - frequency[word] + 0.5) / (frequency[word] + 0.5))
    length = sum(bag.values())
    return rarity * bag[word] * (_K + 1) / (bag[word] + _K * (1 - _B + _B * length / max(1.0, average)))


def _without_repeats(passages: List[Passage]) -> List[Passage]:
    seen = set()
    kept = []
    for passage in passages:
        key = " ".join(content(passage.text))
        if key not in seen:
            seen.add(key)
            kept.append(passage)
    return kept


def gives_orders(text: str) -> bool:
    """Whether a sentence addresses an assistant; it is shown to none."""
    return _ORDERS.search(text) is not None
