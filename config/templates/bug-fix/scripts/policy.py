"""What new code may not do, whatever the tests say about it.

Code that is tested runs in the process of its tests, so it could end that
process, replace what judges it, or look at who calls it. A change that brings
in a means to do so is refused by its text. Code that was there before and
does such things is left alone: only what is new counts.
"""

from __future__ import annotations

import ast
from collections import Counter
from typing import FrozenSet, Iterator, Optional

_MODULES = {
    "_pytest", "_thread", "atexit", "builtins", "ctypes", "faulthandler", "gc", "importlib", "inspect", "marshal",
    "multiprocessing", "pdb", "pickle", "pytest", "resource", "runpy", "signal", "site", "socket", "subprocess", "sys",
    "trace", "traceback", "types", "unittest",
}  # fmt: skip
_NAMES = {
    "AssertionError", "BaseException", "SystemExit", "KeyboardInterrupt", "GeneratorExit", "__builtins__", "__import__",
    "breakpoint", "compile", "delattr", "eval", "exec", "exit", "globals", "input", "locals", "open", "quit", "setattr",
    "vars", "__file__", "__name__",
}  # fmt: skip
_ATTRIBUTES = {
    "_exit", "_getframe", "abort", "exit", "kill", "modules", "settrace", "setprofile", "gi_frame", "tb_frame", "f_back",
    "f_globals", "f_locals", "f_code", "environ", "execv", "fork", "system", "popen", "__globals__", "__code__",
    "__subclasses__", "__builtins__", "__dict__", "__bases__", "__mro__", "__class__", "argv",
}  # fmt: skip
_COMPARING = {
    "__eq__",
    "__ne__",
    "__lt__",
    "__le__",
    "__gt__",
    "__ge__",
    "__bool__",
    "__instancecheck__",
    "__subclasscheck__",
}


# What a program of its own needs, and what cannot make a test pass: a run that ends early counts as failed.
FOR_PROGRAMS = frozenset(
    {
        "the module sys",
        "the name open",
        "the name input",
        "the name __name__",
        "the name __file__",
        "the name SystemExit",
    }
    | {"the name exit", "the attribute exit", "the attribute argv", "the attribute environ", "the module types"}
)


def refusal(before: str, after: str, allowed: FrozenSet[str] = frozenset()) -> Optional[str]:
    """Why a changed source file is not accepted; None when it is."""
    try:
        new = Counter(_means(ast.parse(after)))
    except SyntaxError as error:
        return f"it is not Python: {error.msg}, line {error.lineno}"
    except (ValueError, RecursionError) as error:
        return f"it cannot be read: {error}"
    try:
        known = Counter(_means(ast.parse(before)))
    except SyntaxError:
        known = Counter()
    added = sorted(means for means in (new - known) if means not in allowed)
    return f"it brings in {added[0]}, which has no place in code under test" if added else None


def _means(tree: ast.AST) -> Iterator[str]:
    """Every means of a text to reach out of what it computes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"the module {name.name}" for name in node.names if name.name.split(".")[0] in _MODULES)
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").split(".")[0]
            if module in _MODULES or (module == "os" and any(name.name in _ATTRIBUTES for name in node.names)):
                yield f"the module {module}"
        elif isinstance(node, ast.Name) and node.id in _NAMES:
            yield f"the name {node.id}"
        elif isinstance(node, ast.Attribute) and node.attr in _ATTRIBUTES:
            yield f"the attribute {node.attr}"
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            yield "an `except` that catches everything"
        elif isinstance(node, ast.FunctionDef) and node.name in _COMPARING and _returns_constant(node):
            yield f"a {node.name} that always answers the same"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            yield "a call of getattr"


def _returns_constant(node: ast.FunctionDef) -> bool:
    returned = [item.value for item in ast.walk(node) if isinstance(item, ast.Return)]
    return all(value is None or isinstance(value, ast.Constant) for value in returned)
