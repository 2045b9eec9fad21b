"""Notices a change that answers the failing test instead of mending the code.

Such a change compares what comes in with a value that the failing test uses,
or returns the test's expected value as it stands. Both are seen in the text:
the value is new in the code and stands in the test. Values that nearly every
base case needs, such as 0 or an empty text, are no sign of it.
"""

from __future__ import annotations

import ast
from collections import Counter
from typing import Iterator, Optional, Set

_TRIVIAL = {repr(value) for value in (0, 1, -1, 0.0, 1.0, None, True, False, "", " ", Ellipsis)}
_SAME = (ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.Is, ast.IsNot)


def answers_the_test(before: str, after: str, tests: str) -> Optional[str]:
    """Why a change looks made for one test only; None when it does not."""
    try:
        old, new = ast.parse(before), ast.parse(after)
    except SyntaxError:
        return None
    used = _constants(tests)
    known = {repr(value) for value in _values(old)}
    suspect = used - known - _TRIVIAL
    for value in sorted((_compared(new) - _compared(old)).elements()):
        if value in suspect:
            return f"it compares with {value}, which stands in the failing test and nowhere else in the code"
    for value in sorted((_returned(new) - _returned(old)).elements()):
        if value in used - _TRIVIAL and sum(_returned(new).values()) > sum(_returned(old).values()):
            return f"it returns {value}, the value that the failing test expects, as it stands"
    return None


def _constants(text: str) -> Set[str]:
    """Every constant of the tests, also those within texts such as docstring examples."""
    found: Set[str] = set()
    queue = [text]
    while queue:
        try:
            tree = ast.parse(queue.pop())
        except (SyntaxError, ValueError):
            continue
        for value in _values(tree):
            found.add(repr(value))
            if isinstance(value, str) and ">>>" in value:
                queue += [line.strip().removeprefix(">>> ") for line in value.splitlines()]
    return found


def _values(tree: ast.AST) -> Iterator[object]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            yield node.value


def _compared(tree: ast.AST) -> Counter:
    """Constants that something is held against: in comparisons, cases and keys."""
    found: Counter = Counter()
    for node in ast.walk(tree):
        parts: list = []
        if isinstance(node, ast.Compare) and any(isinstance(op, _SAME) for op in node.ops):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            parts = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        for part in parts:
            found.update(repr(value) for value in _values(part))
    return found


def _returned(tree: ast.AST) -> Counter:
    """Constants that are returned as they stand."""
    found: Counter = Counter()
    for node in ast.walk(tree):
        value = node.value if isinstance(node, ast.Return) else node.body if isinstance(node, ast.Lambda) else None
        options = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
        found.update(repr(option.value) for option in options if isinstance(option, ast.Constant))
        for option in options:
            if isinstance(option, (ast.Tuple, ast.List)) and option.elts:
                if all(isinstance(item, ast.Constant) for item in option.elts):
                    found.update(repr(item.value) for item in option.elts)
    return found
