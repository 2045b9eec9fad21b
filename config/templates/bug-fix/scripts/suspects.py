"""Which lines are to blame: those that failing tests run and passing ones do not.

The measure is Ochiai's, over the lines that each test ran.
"""

from __future__ import annotations

import ast
import math
from typing import Dict, List, Tuple

from runner import Outcome

Line = Tuple[str, int]


def rank_lines(outcome: Outcome, sources: Dict[str, str]) -> List[Tuple[Line, float]]:
    """Lines of functions by suspicion, most suspicious first."""
    failing, passing = set(outcome.failing()), set(outcome.ids("passed"))
    failed: Dict[Line, int] = {}
    passed: Dict[Line, int] = {}
    for test, files in outcome.lines.items():
        counts = failed if test in failing else passed if test in passing else None
        for path, lines in files.items() if counts is not None else ():
            for line in lines:
                counts[(path, line)] = counts.get((path, line), 0) + 1
    scores = {
        line: hits / math.sqrt(max(1, len(failing)) * (hits + passed.get(line, 0))) for line, hits in failed.items()
    }
    whole = _whole_statements(scores, sources)
    if not whole:
        # Nothing was seen to run: every line of every function is as good as another.
        whole = {(path, line): 0.1 for path, text in sources.items() for line in _body_lines(text)}
    return sorted(whole.items(), key=lambda item: (-item[1], item[0]))


def _whole_statements(scores: Dict[Line, float], sources: Dict[str, str]) -> Dict[Line, float]:
    """A statement over several lines shares its highest score; a header's is that of what it guards."""
    whole = dict(scores)
    for path, text in sources.items():
        for node in _statements(text):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                continue
            end = node.end_lineno if not hasattr(node, "body") else node.body[0].lineno - 1
            span = range(node.lineno, max(node.lineno, end) + 1)
            score = max((scores.get((path, line), 0.0) for line in span), default=0.0)
            for line in span if score else ():
                whole[(path, line)] = max(score, whole.get((path, line), 0.0))
    return whole


def _statements(text: str) -> List[ast.stmt]:
    try:
        return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]
    except SyntaxError:
        return []


def _body_lines(text: str) -> List[int]:
    lines = set()
    for node in _statements(text):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines.update(range(node.body[0].lineno, node.end_lineno + 1))
    return sorted(lines)


def excerpt(ranked: List[Tuple[Line, float]], sources: Dict[str, str], chars_max: int) -> str:
    """The functions that hold the most suspicious lines, with their paths."""
    shown: List[str] = []
    seen = set()
    for (path, line), _ in ranked:
        first, last = _function_at(sources[path], line)
        if (path, first) in seen:
            continue
        seen.add((path, first))
        text = "\n".join(sources[path].split("\n")[first - 1 : last])
        piece = f"# {path}, line {first}\n{text}"
        if sum(map(len, shown)) + len(piece) > chars_max:
            shown = shown or [piece[:chars_max]]
            break
        shown.append(piece)
    return "\n\n".join(shown)


def _function_at(text: str, line: int) -> Tuple[int, int]:
    best = (1, len(text.split("\n")))
    for node in _statements(text):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.lineno <= line <= node.end_lineno:
            if node.end_lineno - node.lineno < best[1] - best[0]:
                best = (node.lineno, node.end_lineno)
    return best
