"""Keeps a small model's words to what the description and the material say.

A small local model writes fluently about other things, such as the example
of its prompt. What shares too few words with what was given is left out.
"""

from __future__ import annotations

import re
from typing import List, Set

_WORD = re.compile(r"[^\W\d_]{4,}|\d+")
_SHARE_MIN = 0.6
_ENDINGS = ("ies", "ing", "es", "ed", "s", "y", "e")


def vocabulary(texts: List[str]) -> Set[str]:
    """The words of what was given, without their endings."""
    return {word for text in texts for word in _words(text)}


def grounded(text: str, known: Set[str]) -> str:
    """The sentences of a text that are made of known words, each once."""
    kept: List[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        words = _words(sentence)
        if words and sentence not in kept and sum(word in known for word in words) >= _SHARE_MIN * len(words):
            kept.append(sentence)
    return " ".join(kept)


def _words(text: str) -> List[str]:
    return [_stem(word.lower()) for word in _WORD.findall(text)]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if len(word) - len(ending) >= 3 and word.endswith(ending):
            return word[: -len(ending)]
    return word
