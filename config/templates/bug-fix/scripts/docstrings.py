"""The examples in docstrings, as tests.

They are taken from the code as it was given and written out into a test file
of their own, so a change to a docstring changes no test.
"""

from __future__ import annotations

import ast
import doctest
import keyword
from typing import List, Optional, Tuple

FILE = "test_docstring_examples.py"

_HEAD = '''"""The examples in the docstrings of the code as it was given."""

import doctest
import importlib
import unittest


class DocstringExamples(unittest.TestCase):
    def check(self, module, name, text):
        names = dict(vars(importlib.import_module(module)))
        test = doctest.DocTestParser().get_doctest(text, names, name, None, 0)
        told = []
        result = doctest.DocTestRunner(verbose=False).run(test, out=told.append)
        if result.failed:
            # What is said first is where the example stands.
            self.fail("".join(told).split("Failed example:", 1)[-1].strip())
'''


def module_name(path: str) -> Optional[str]:
    """How tests import a file; None for one that cannot be imported."""
    parts = path.removeprefix("src/").removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts.pop()
    fits = parts and all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)
    return ".".join(parts) if fits else None


def docstring_tests(sources: List[Tuple[str, str]]) -> Optional[str]:
    """A test file for (path, text) pairs; None where no docstring has an example."""
    tests = []
    for path, text in sources:
        module = module_name(path)
        if module is None or ">>>" not in text:
            continue
        for name, docstring in _docstrings(text):
            number = len(tests) + 1
            label = "".join(mark if mark.isalnum() and mark.isascii() else "_" for mark in name)
            tests.append(
                f"\n    def test_{number}_{label}(self):\n        self.check({module!r}, {name!r}, {docstring!r})\n"
            )
    return _HEAD + "".join(tests) if tests else None


def _docstrings(text: str) -> List[Tuple[str, str]]:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return []
    kinds = (ast.Module, ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, kinds):
            docstring = ast.get_docstring(node, clean=True) or ""
            if ">>>" in docstring and _is_readable(docstring):
                found.append((getattr(node, "name", "module"), docstring))
    return found


def _is_readable(docstring: str) -> bool:
    """Whether the examples are written as Python's own reader of them wants it."""
    try:
        return bool(doctest.DocTestParser().get_examples(docstring))
    except ValueError:
        return False
