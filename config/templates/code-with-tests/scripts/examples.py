"""Examples that a text states: `f(2, 3)` and what it should be.

Only calls and literals are taken, so nothing of a text is ever run but a call
of the code in question with plain values.
"""

from __future__ import annotations

import ast
import re
from typing import Iterator, List, Optional, Tuple

_CALL = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\(")
_SHOULD = re.compile(
    r"^\s*(?:"
    r"(?:==|=>|->|\u2192|=)|"
    r"(?:(?:must|should|has to|is expected to)\s+(?:be|return|give|equal|yield|produce))|"
    r"(?:to\s+(?:be|return|equal))|(?:is\s+expected\s+to\s+be)|(?:returns?|gives?|yields?|equals?|is)"
    r")\s*:?\s*",
    re.IGNORECASE,
)
_INSTEAD = re.compile(
    r"(?:should\s+(?:be|return|give)|instead\s+of|but\s+(?:should\s+(?:be|return|give)|expected)|expected|rather\s+than|not)\s*:?\s*",
    re.IGNORECASE,
)
_RAISES = re.compile(r"^\s*(?:should\s+|must\s+)?raises?\s+(?:an?\s+)?([A-Z]\w*)", re.IGNORECASE)
_FAULT_WORDS = ("instead of", "rather than", "but should", "but expected", "should be", "should return", "should give")
_LOOK_CHARS = 160
_EXAMPLES_MAX = 40


def find_examples(text: str, names: Optional[set] = None) -> List[dict]:
    """Cases `{"expression", "expected"}` or `{"expression", "raises"}`, each once."""
    found = []
    for match in _CALL.finditer(text):
        if names is not None and match[1] not in names:
            continue
        call, rest = _call_at(text, match.start())
        if call is None:
            continue
        case = _judge(call, rest[:_LOOK_CHARS].split("\n\n", 1)[0])
        if case is not None and case not in found:
            found.append(case)
        if len(found) >= _EXAMPLES_MAX:
            break
    return found


def _call_at(text: str, start: int) -> Tuple[Optional[str], str]:
    """The call that begins here if its arguments are plain values, and what follows."""
    for end in _closings(text, start):
        call = text[start:end]
        try:
            node = ast.parse(call, mode="eval").body
        except (SyntaxError, ValueError):
            continue
        if not isinstance(node, ast.Call):
            return None, ""
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        return (call, text[end:].lstrip("`\"' ")) if all(map(is_plain, values)) else (None, "")
    return None, ""


def _closings(text: str, start: int) -> Iterator[int]:
    for at in range(start, min(len(text), start + 400)):
        if text[at] == ")":
            yield at + 1


def is_plain(node: ast.expr) -> bool:
    """True for what `ast.literal_eval` takes."""
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _judge(call: str, rest: str) -> Optional[dict]:
    raised = _RAISES.match(rest)
    if raised:
        return {"expression": call, "raises": raised[1]}
    match = _SHOULD.match(rest)
    if match is None:
        return None
    value, after = _value_at(rest[match.end() :])
    if value is None:
        return None
    # "f(2) returns 3 instead of 4", "f(2) is 3 but should be 4": the second is what is wanted.
    sentence = after.split("\n", 1)[0][:100]
    later = _INSTEAD.search(sentence)
    wanted_first = any(word in match[0].lower() for word in ("should", "must", "has to", "expected"))
    if later and not wanted_first and any(word in sentence.lower() for word in _FAULT_WORDS):
        value = _value_at(sentence[later.end() :])[0]
        if value is None:
            return None
    return {"expression": call, "expected": value}


def _value_at(text: str) -> Tuple[Optional[str], str]:
    """The longest plain value that a text begins with, and what follows it."""
    text = text.lstrip("` ")
    best: Tuple[Optional[str], str] = (None, text)
    for end in range(1, min(len(text), 200) + 1):
        piece = text[:end]
        if piece != piece.rstrip() or (
            end < len(text) and (text[end].isalnum() or text[end] == "_") and piece[-1].isalnum()
        ):
            continue
        if piece[-1] == "." and (end == len(text) or not text[end].isdigit()):
            continue
        if piece[-1] == ",":
            continue
        try:
            if is_plain(ast.parse(piece, mode="eval").body):
                best = (piece, text[end:].lstrip("`"))
        except (SyntaxError, ValueError, MemoryError):
            continue
        if "\n" in piece:
            break
    return best
