"""The check of a model's sentences against the sources that they cite.

A sentence stays when it cites sources that exist, its quotations stand there
word for word, and one place of a cited source, or one place of each, has its
numbers, its names and most of its words, denies what it denies and says
nothing opposite. One that cites nothing gets the first source for which all
that holds. Anything else is struck, with the reason. What stays is
supported by its sources' words; whether those are true is not known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Set, Tuple

from ranking import gives_orders
from sources import Library, Source
from wording import content, first_word, is_negated, names, numbers, opposite, sentences, stem, tidy

_CITATION = re.compile(r"\s*\[(\d{1,4}(?:\s*(?:,|-|\u2013)\s*\d{1,4})*)\]")
_QUOTE = re.compile(r'"([^"]{2,})"')
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.+?)\s*#*$")
_WINDOW = 3
_SOURCES_TRIED_MAX = 20
_PARAGRAPHS_MAX = 200
# How many of a claim's words its place must have: a small model writes fluently what nobody said.
_COVERAGE, _COVERAGE_SMALL = 0.6, 0.8
# Headings that name a part of a text and state nothing.
_PLAIN_HEADINGS = {
    stem(word)
    for word in "answer background conclusion cost detail evidence finding history introduction overview question result summary".split()
}


@dataclass
class Claim:
    """One sentence, its citations, and why it was struck, if it was."""

    text: str
    cited: List[int]
    reason: Optional[str] = None


@dataclass
class Section:
    """A heading and its sentences, by paragraph."""

    heading: Optional[str]
    paragraphs: List[List[Claim]] = field(default_factory=list)


class Checker:
    """Knows the places of every source."""

    def __init__(self, library: Library, small: bool) -> None:
        self._library = library
        self._coverage = _COVERAGE_SMALL if small else _COVERAGE
        self._places: Dict[int, List[Tuple[str, Set[str]]]] = {}
        self._vocabulary: Optional[Tuple[Set[str], Set[float]]] = None

    def read(self, prose: str) -> List[Section]:
        """Takes a model's Markdown apart and judges each sentence once."""
        sections = [Section(None)]
        seen: Set[str] = set()
        for block in re.split(r"\n\s*\n|\n(?=\s*#)|(?<=\n)(?=\s*[-*] )", prose)[:_PARAGRAPHS_MAX]:
            lines = [line for line in block.strip().split("\n") if not line.strip().startswith("```")]
            heading = _HEADING.match(lines[0]) if lines else None
            if heading:
                sections.append(Section(tidy(heading[1])))
                lines = lines[1:]
            claims = [self._judge(text) for text in _claims(" ".join(lines)) if not (text in seen or seen.add(text))]
            if claims:
                sections[-1].paragraphs.append(claims)
        return [section for section in sections if section.paragraphs]

    def heading(self, text: Optional[str]) -> Optional[str]:
        """A heading that says nothing the sources could not, else None."""
        if not text or gives_orders(text) or _CITATION.search(text):
            return None
        if self._vocabulary is None:
            whole = " ".join(source.text for source in self._library.sources)
            self._vocabulary = (set(content(whole)) | _PLAIN_HEADINGS, numbers(whole))
        words, figures = self._vocabulary
        return text[:120] if set(content(text)) <= words and numbers(text) <= figures else None

    def _judge(self, text: str) -> Claim:
        cited, bare = _split_citations(text)
        claim = Claim(bare, cited)
        claim.reason = self._fault(claim)
        return claim if cited else self._with_citation(claim)

    def _with_citation(self, claim: Claim) -> Claim:
        """Cites the first source that supports a sentence without a citation, if one does."""
        for source in self._library.sources[:_SOURCES_TRIED_MAX]:
            found = Claim(claim.text, [source.number])
            found.reason = self._fault(found)
            if found.reason is None:
                return found
        return claim

    def _fault(self, claim: Claim) -> Optional[str]:
        if not claim.cited:
            return "it cites no source"
        for number in claim.cited:
            if self._library.get(number) is None:
                return f"it cites [{number}], which is no source"
        if gives_orders(claim.text):
            return "it repeats an instruction instead of a statement"
        if claim.text.rstrip(" .!?*_").endswith(":") or not content(claim.text):
            return "it states nothing"
        for quote in _QUOTE.findall(claim.text):
            if not any(_stands_in(quote, self._library.get(number)) for number in claim.cited):
                return f'the quotation "{quote[:80]}" does not stand in the source'
        return self._support_fault(claim)

    def _support_fault(self, claim: Claim) -> Optional[str]:
        """Holds the claim against the best place of each source that it cites."""
        words = set(content(claim.text))
        best = [self._best_place(number, claim.text, words) for number in claim.cited]
        evidence = " ".join(best)
        shown = set(content(evidence))
        missing = sorted(numbers(claim.text) - numbers(evidence))
        if missing:
            return f"{missing[0]:g} does not stand at that place of the source"
        unknown = self._unknown_names(claim.text, evidence)
        if unknown:
            return f"{unknown} does not stand at that place of the source"
        covered = len(words & shown) / len(words)
        if covered < self._coverage:
            return f"the source has only {covered:.0%} of its words in one place"
        near = self._nearest(evidence, words)
        if is_negated(claim.text) != is_negated(near):
            return "it denies what the source says, or says what the source denies"
        return "the source says the opposite" if opposite(claim.text, evidence) else None

    @staticmethod
    def _unknown_names(text: str, evidence: str) -> Optional[str]:
        shown = {word.lower().removesuffix("'s") for word in re.findall(r"[\w'-]+", evidence)}
        stems = {stem(word) for word in shown}
        for name in sorted(names(text)):
            if name not in shown and not (name == first_word(text) and stem(name) in stems):
                return name.title()
        return None

    @staticmethod
    def _nearest(evidence: str, words: Set[str]) -> str:
        """The one sentence of the evidence that is most like the claim."""
        return max(sentences(evidence), key=lambda text: len(words & set(content(text))), default="")

    def _best_place(self, number: int, text: str, words: Set[str]) -> str:
        wanted, called = numbers(text), names(text)

        def fit(place: Tuple[str, Set[str]]) -> tuple:
            lowered = place[0].lower()
            return (
                len(wanted & numbers(place[0])) * 3
                + sum(name in lowered for name in called) * 2
                + len(words & place[1]),
                -len(place[0]),
            )

        return max(self._places_of(number), key=fit, default=("", set()))[0]

    def _places_of(self, number: int) -> List[Tuple[str, Set[str]]]:
        """Every run of one to three sentences of a source."""
        if number not in self._places:
            lines = [line for line in self._library.get(number).sentences() if not gives_orders(line)]
            runs = [" ".join(lines[at : at + size]) for at in range(len(lines)) for size in range(1, _WINDOW + 1)]
            self._places[number] = [(run, set(content(run))) for run in dict.fromkeys(runs)]
        return self._places[number]


def _claims(text: str) -> List[str]:
    """The sentences of a paragraph; a citation behind the full stop belongs to the sentence before it."""
    text = re.sub(r"^\s*(?:[-*\u2022>]|\d+[.)])\s+", "", tidy(text))
    text = re.sub(r"([.!?])((?:\s*\[[\d,\s\u2013-]+\])+)", r"\2\1", text)
    text = re.sub(r"(\*\*|__)(.+?)\1", r"\2", text)
    return sentences(text)


def _split_citations(text: str) -> Tuple[List[int], str]:
    """(numbers cited, the sentence without them)."""
    cited: List[int] = []
    for match in _CITATION.finditer(text):
        for part in match[1].split(","):
            ends = [int(end) for end in re.split(r"\s*[-\u2013]\s*", part.strip())]
            cited += range(ends[0], min(ends[-1], ends[0] + 20) + 1) if len(ends) == 2 else ends[:1]
    bare = " ".join(_CITATION.sub("", text).split())
    return list(dict.fromkeys(cited)), re.sub(r"\s+([.,;!?])", r"\1", bare)


def _stands_in(quote: str, source: Optional[Source]) -> bool:
    """Whether a quotation is there word for word, whatever its spaces and its last mark."""
    wanted = tidy(quote).strip(" .,;!?").casefold()
    return source is not None and bool(wanted) and wanted in tidy(source.text).casefold()
