"""A test file made of cases: an expression, and its value or what it raises.

Cases come from people's examples or from a model. Code writes the tests, so
each has an assertion, and what a case may contain is checked by its text.
"""

from __future__ import annotations

import ast
import builtins
from typing import Dict, List, Optional, Tuple

from policy import refusal

_TEXT_CHARS_MAX = 1_000
_TOO_BROAD = {
    "Exception",
    "BaseException",
    "NotImplementedError",
    "AssertionError",
    "NameError",
    "ImportError",
    "SystemExit",
}


class CaseRefused(Exception):
    """A case that makes no test; the message says why."""


def top_level_names(text: str) -> List[str]:
    """What a module defines and does not hide."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return []
    names: List[str] = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]


class CaseWriter:
    """Writes cases as unittest methods over the names of some modules."""

    def __init__(self, modules: Dict[str, List[str]]) -> None:
        self._owner = {name: module for module in reversed(list(modules)) for name in modules[module]}

    def method(self, case: dict, number: int) -> str:
        """One test method; raises CaseRefused for a case that makes none."""
        setup = self._statements(str(case.get("setup") or ""))
        expression, node = self._expression(case.get("expression"), "expression")
        imports = self._imports(setup, node)
        if not imports:
            raise CaseRefused("it uses nothing of the code under test")
        lines = [f"def test_{number}(self):", *(f"    {line}" for line in imports)]
        lines += [f"    {line}" for line in setup.splitlines()]
        if case.get("raises"):
            lines += [f"    with self.assertRaises({self._exception(case['raises'])}):", f"        {expression}"]
        else:
            lines.append(f"    {self._assertion(expression, case.get('expected'))}")
        return "".join(f"    {line}\n" for line in lines)

    def _assertion(self, expression: str, expected: object) -> str:
        value, node = self._expression(expected, "expected value")
        try:
            literal = ast.literal_eval(node)
        except ValueError as error:
            raise CaseRefused("its expected value is not a plain value") from error
        if isinstance(literal, float):
            return f"self.assertAlmostEqual({expression}, {value}, places=6)"
        if literal is None or isinstance(literal, bool):
            return f"self.assertIs({expression}, {value})"
        return f"self.assertEqual({expression}, {value})"

    def _exception(self, name: object) -> str:
        kind = getattr(builtins, str(name), None)
        if str(name) in _TOO_BROAD or not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise CaseRefused(f"{str(name)[:40]!r} is no exception that a test may wait for")
        return str(name)

    def _expression(self, text: object, what: str) -> Tuple[str, ast.expr]:
        if not isinstance(text, str) or not text.strip() or len(text) > _TEXT_CHARS_MAX:
            raise CaseRefused(f"its {what} is missing or too long")
        try:
            node = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise CaseRefused(f"its {what} is not a Python expression") from error
        self._check(text)
        return ast.unparse(node), node

    def _statements(self, text: str) -> str:
        if not text.strip():
            return ""
        if len(text) > _TEXT_CHARS_MAX:
            raise CaseRefused("its setup is too long")
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise CaseRefused("its setup is not Python") from error
        self._check(text)
        return ast.unparse(tree)

    def _check(self, text: str) -> None:
        why = refusal("", text)
        if why:
            raise CaseRefused(why)

    def _imports(self, setup: str, node: ast.expr) -> List[str]:
        used = [item.id for tree in (ast.parse(setup), node) for item in ast.walk(tree) if isinstance(item, ast.Name)]
        wanted = sorted({name for name in used if name in self._owner})
        return [f"from {self._owner[name]} import {name}" for name in wanted]


def test_file(methods: List[str], title: str, name: str) -> Optional[str]:
    """The whole file; None without methods."""
    if not methods:
        return None
    return f'"""{title}"""\n\nimport unittest\n\n\nclass {name}(unittest.TestCase):\n' + "\n".join(methods)


CASE_SCHEMA = {
    "type": "object",
    "properties": {
        "cases": {
            "type": "array",
            "minItems": 1,
            "maxItems": 12,
            "items": {
                "type": "object",
                "properties": {
                    "setup": {"type": "string", "maxLength": 600, "description": "Statements before it; mostly empty"},
                    "expression": {"type": "string", "maxLength": 300, "description": "A call of the code"},
                    "expected": {
                        "type": "string",
                        "maxLength": 300,
                        "description": "The right value as a Python literal",
                    },
                    "raises": {
                        "type": "string",
                        "maxLength": 60,
                        "description": "Instead: the exception it must raise",
                    },
                },
                "required": ["expression"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["cases"],
    "additionalProperties": False,
}
