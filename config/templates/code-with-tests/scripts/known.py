"""Operations that a goal can name in one word, and small bodies to choose from.

A goal such as "a function add(a, b) that returns their sum" says all that is
needed for tests, to a reader who knows what a sum is. That knowledge stands
here, for few words and on purpose: a goal counts as known only where nothing
of it is left unread. The bodies are what a small model may choose among.
"""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Tuple

# What a goal may say beside the operation without meaning another one.
_FILLER = set(
    "a an the that which returns return returning of their its it them two both numbers number given and called named "
    "takes take taking compute computes calculate calculates value values argument arguments integer integers int ints "
    "please create implement write make python function with simple for in one text string word x as result to module "
    "list whether if is true false when otherwise float floats all s".split()
)
_PAIRS = [(2, 3), (0, 0), (-4, 9), (7, 7), (12, 5), (1, -6)]
_NUMBERS = [0, 1, 2, 7, -3, 10, 15]
_LISTS = [[3, 1, 2], [5], [-1, 0, 1, 0], [10, 2, 33, 4]]
_TEXTS = ["abc", "Level", "", "two words", "noon"]

# The words of a goal -> what it means, by the number of parameters; p, q stand for the parameters.
_KNOWN: List[Tuple[int, str, str, list]] = [
    (2, "sum|total|add|adds|adding|plus|addition", "p + q", _PAIRS),
    (2, "product|multiply|multiplies|multiplication|times", "p * q", _PAIRS),
    (2, "larger|largest|maximum|max|greater|bigger", "max(p, q)", _PAIRS),
    (2, "smaller|smallest|minimum|min|lesser", "min(p, q)", _PAIRS),
    (2, "average|mean", "(p + q) / 2", _PAIRS),
    (2, "first minus second|subtract second from first", "p - q", _PAIRS),
    (2, "absolute difference", "abs(p - q)", _PAIRS),
    (1, "square|squared|squares", "p * p", _NUMBERS),
    (1, "cube|cubed", "p ** 3", _NUMBERS),
    (1, "double|doubled|doubles|twice", "p * 2", _NUMBERS),
    (1, "half|halves", "p / 2", _NUMBERS),
    (1, "even", "p % 2 == 0", _NUMBERS),
    (1, "odd", "p % 2 == 1", _NUMBERS),
    (1, "positive", "p > 0", _NUMBERS),
    (1, "negative", "p < 0", _NUMBERS),
    (1, "absolute", "abs(p)", _NUMBERS),
    (1, "sum|total", "sum(p)", _LISTS),
    (1, "maximum|largest|max|greatest|biggest", "max(p)", _LISTS),
    (1, "minimum|smallest|min", "min(p)", _LISTS),
    (1, "average|mean", "sum(p) / len(p)", _LISTS),
    (1, "sorted|sorts|sort", "sorted(p)", _LISTS),
    (1, "length", "len(p)", _LISTS + _TEXTS),
    (1, "reverse|reversed|reverses", "p[::-1]", _TEXTS + _LISTS),
    (1, "uppercase|upper case", "p.upper()", _TEXTS),
    (1, "lowercase|lower case", "p.lower()", _TEXTS),
    (1, "palindrome", "p == p[::-1]", _TEXTS),
    (1, "words|count words", "len(p.split())", _TEXTS),
    (3, "sum|total", "p + q + r", [(1, 2, 3), (0, 0, 0), (-1, 5, 2)]),
    (3, "product", "p * q * r", [(1, 2, 3), (4, 5, 6), (-1, 5, 2)]),
    (3, "larger|largest|maximum|max|greatest|biggest", "max(p, q, r)", [(1, 2, 3), (9, 2, 3), (4, 5, 1)]),
    (3, "smaller|smallest|minimum|min", "min(p, q, r)", [(1, 2, 3), (9, 2, 3), (4, 5, 1)]),
]  # fmt: skip
_MORE: Dict[int, List[str]] = {
    1: [
        "p",
        "-p",
        "p + 1",
        "p - 1",
        "p[0]",
        "p[-1]",
        "p.strip()",
        "p.title()",
        "len(set(p))",
        "sorted(p, reverse=True)",
    ],
    2: ["p - q", "q - p", "p / q", "p // q", "p % q", "p ** q", "p == q", "p > q", "p < q", "p in q", "p * q / 2"],
    3: ["(p + q + r) / 3", "p <= q <= r", "max(p, min(q, r))", "p * q + r"],
}

Signature = Tuple[str, List[str]]


def meaning(goal: str, signature: Signature) -> Optional[Tuple[str, list]]:
    """(expression over p, q, r; sample arguments) where the goal names one known operation and nothing else."""
    name, parameters = signature
    said = _words(goal, signature)
    if not said:
        said = [word for word in re.split(r"_|\d", name.lower()) if word and word not in _FILLER]
    for arity, phrases, expression, samples in _KNOWN:
        if arity == len(parameters) and any(phrase.split() == said for phrase in phrases.split("|")):
            return expression, samples
    return None


def _words(goal: str, signature: Signature) -> List[str]:
    """The words of a goal that are neither filler nor part of the signature."""
    name, parameters = signature
    text = re.sub(rf"{re.escape(name)}\s*\([^)]*\)", " ", goal)
    own = {name.lower(), *(parameter.lower() for parameter in parameters)}
    words = re.findall(r"[^\W\d_]+|\d+", text.lower())
    return [word for word in words if word not in own and word not in _FILLER]


def known_cases(goal: str, signature: Signature) -> List[dict]:
    """Cases for a goal that names a known operation."""
    found = meaning(goal, signature)
    if found is None:
        return []
    expression, samples = found
    cases = []
    for sample in samples:
        values = list(sample) if isinstance(sample, tuple) else [sample]
        names = dict(zip("pqr", values))
        expected = eval(expression, {"__builtins__": {}, **_FUNCTIONS}, names)  # An expression of this file.
        written = ", ".join(repr(value) for value in values)
        cases.append({"expression": f"{signature[0]}({written})", "expected": repr(expected)})
    return cases


_FUNCTIONS = {f.__name__: f for f in (max, min, abs, sum, len, sorted)}


def bodies(signature: Signature) -> List[str]:
    """Expressions that a small model may choose among."""
    parameters = signature[1]
    pool = [expression for arity, _, expression, _ in _KNOWN if arity == len(parameters)] + _MORE.get(
        len(parameters), []
    )
    names = dict(zip("pqr", parameters))
    return [re.sub(r"\b[pqr]\b", lambda match: names[match[0]], expression) for expression in dict.fromkeys(pool)]
