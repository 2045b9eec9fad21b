"""Small changes of a Python text: the moves of a bounded search for a fix.

A change replaces a stretch of the text and leaves the rest as it is, so
comments and layout stay and the patch is as small as the change. The moves
are those that undo common slips: a flipped comparison, a wrong operator, a
constant or an index off by one, arguments in the wrong order, a negation or a
return that is missing, a neighbour's name.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Iterator, List, Optional, Tuple

# Likelier slips first.
_COMPARISONS = {
    "<": ("<=", ">", ">=", "==", "!="), "<=": ("<", ">=", ">", "==", "!="), ">": (">=", "<", "<=", "==", "!="),
    ">=": (">", "<=", "<", "==", "!="), "==": ("!=", ">=", "<=", "<", ">"), "!=": ("==", "<", ">", "<=", ">="),
    "in": ("not in",), "not in": ("in",), "is": ("is not",), "is not": ("is",),
}  # fmt: skip
_OPERATORS = {
    "+": ("-", "*", "//", "%", "/", "**"), "-": ("+", "*", "%", "//", "/"), "*": ("**", "+", "/", "//", "%", "-"), "/": ("//", "*", "%", "-", "+"),
    "//": ("/", "%", "*", "-", "+"), "%": ("//", "*", "/", "-", "+"), "**": ("*", "//", "+", "-"), "&": ("|", "^"), "|": ("&", "^"),
    "^": ("&", "|", "**"), "<<": (">>",), ">>": ("<<",), "and": ("or",), "or": ("and",),
}  # fmt: skip
_CALLS = {
    "min": ("max",), "max": ("min",), "any": ("all",), "all": ("any",), "append": ("extend",), "extend": ("append",), "lower": ("upper",),
    "upper": ("lower",), "startswith": ("endswith",), "endswith": ("startswith",), "lstrip": ("strip", "rstrip"),
    "rstrip": ("strip", "lstrip"), "strip": ("lstrip", "rstrip"), "find": ("rfind",), "rfind": ("find",), "floor": ("ceil", "round"),
    "ceil": ("floor",), "int": ("round",), "isalpha": ("isalnum",), "isdigit": ("isalnum",), "union": ("intersection",),
    "intersection": ("union",), "sorted": ("list",), "list": ("sorted",), "set": ("list",), "keys": ("values",), "values": ("keys",),
}  # fmt: skip
_SWAPPED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.LShift, ast.RShift)
_OPERATOR_TEXT = re.compile(r"not\s+in|is\s+not|<=|>=|==|!=|<<|>>|//|\*\*|and|or|in|is|[-+*/%&|^<>]")


@dataclass(frozen=True)
class Mutant:
    """One change: `text` in place of bytes `start` to `end`, and how far-fetched it is."""

    start: int
    end: int
    text: str
    line: int
    cost: float
    what: str

    def apply(self, source: str) -> str:
        """The changed text."""
        data = source.encode("utf-8")
        return (data[: self.start] + self.text.encode("utf-8") + data[self.end :]).decode("utf-8")


def mutants(source: str, lines: Optional[set] = None) -> List[Mutant]:
    """Every small change of a text, on these lines where some are named; each once."""
    try:
        found = list(_Finder(source).all())
    except SyntaxError:
        return []
    kept = {(m.start, m.end, m.text): m for m in reversed(found) if lines is None or m.line in lines}
    return sorted(kept.values(), key=lambda m: (m.cost, m.start, m.text))


class _Finder:
    """Walks one text."""

    def __init__(self, source: str) -> None:
        self._data = source.encode("utf-8")
        # Only "\n" ends a line for the offsets of `ast`; "\r" before it belongs to the line.
        self._starts = [0]
        for part in self._data.split(b"\n"):
            self._starts.append(self._starts[-1] + len(part) + 1)
        self._tree = ast.parse(self._data)

    def all(self) -> Iterator[Mutant]:
        """The changes of every node."""
        for function in self._functions():
            yield from self._returns(function)
            yield from self._names(function)
        for node in ast.walk(self._tree):
            yield from self._of_node(node)

    def _functions(self) -> List[ast.FunctionDef]:
        return [node for node in ast.walk(self._tree) if isinstance(node, ast.FunctionDef)]

    def _of_node(self, node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.Compare):
            yield from self._compare(node)
        elif isinstance(node, (ast.BinOp, ast.BoolOp)):
            yield from self._binary(node)
        elif isinstance(node, ast.AugAssign):
            yield from self._between(node.target, node.value, _OPERATORS, node.lineno, suffix="=")
        elif isinstance(node, ast.UnaryOp):
            yield self._mutant(node, self._text(node.operand), 1.0, "drop a sign or a negation")
        elif isinstance(node, ast.Constant):
            yield from self._constant(node)
        elif isinstance(node, ast.Call):
            yield from self._call(node)
        elif isinstance(node, ast.Subscript):
            yield from self._subscript(node)
        elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
            yield self._mutant(node.test, f"not {self._closed(node.test)}", 1.5, "negate a condition")
        elif isinstance(node, (ast.Break, ast.Continue)):
            other = "continue" if isinstance(node, ast.Break) else "break"
            yield self._mutant(node, other, 1.6, f"{other} instead")

    # Operators

    def _compare(self, node: ast.Compare) -> Iterator[Mutant]:
        left = node.left
        for right in node.comparators:
            yield from self._between(left, right, _COMPARISONS, node.lineno)
            left = right
        if len(node.comparators) == 1:
            right = node.comparators[0]
            for side in (node.left, right):
                yield from self._by_one(side, 1.7)

    def _binary(self, node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.BoolOp):
            for left, right in zip(node.values, node.values[1:]):
                yield from self._between(left, right, _OPERATORS, node.lineno)
            for value in node.values:
                yield self._mutant(node, self._closed(value), 2.0, "keep one condition")
            return
        yield from self._between(node.left, node.right, _OPERATORS, node.lineno)
        if isinstance(node.op, _SWAPPED):
            gap = self._gap(node.left, node.right)
            swapped = f"{self._closed(node.right)}{gap}{self._closed(node.left)}"
            yield self._mutant(node, swapped, 1.4, "swap the sides")
        for kept in (node.left, node.right):
            yield self._mutant(node, self._closed(kept), 1.8, "drop a term")

    def _between(self, left, right, table: dict, line: int, suffix: str = "") -> Iterator[Mutant]:
        start, end = self._end(left), self._start(right)
        match = _OPERATOR_TEXT.search(self._slice(start, end))
        if match is None:
            return
        written = " ".join(match[0].split())
        begin = start + match.start()
        for rank, other in enumerate(table.get(written, ())):
            if suffix and other in ("and", "or"):
                continue
            yield Mutant(begin, begin + len(match[0]), other, line, 1.0 + rank / 10, f"{other} for {written}")

    # Values

    def _constant(self, node: ast.Constant) -> Iterator[Mutant]:
        value = node.value
        if isinstance(value, bool):
            yield self._mutant(node, str(not value), 1.1, "the other truth value")
        elif isinstance(value, int) and abs(value) < 10**9:
            for other in (value + 1, value - 1):
                yield self._mutant(node, f"({other})" if other < 0 else str(other), 1.2, "a number off by one")
            for other in {0, 1, 2, 10} - {value, value + 1, value - 1}:
                yield self._mutant(node, str(other), 2.2, "another number")
        elif isinstance(value, float):
            for other in (value + 1, value - 1, value * 10, value / 10, 0.0, 1.0):
                yield self._mutant(node, f"({other!r})", 2.2, "another number")
        elif value in ("", " "):
            yield self._mutant(node, '" "' if value == "" else '""', 1.6, "a space more or less")

    def _call(self, node: ast.Call) -> Iterator[Mutant]:
        name = node.func
        written = name.id if isinstance(name, ast.Name) else name.attr if isinstance(name, ast.Attribute) else ""
        for other in _CALLS.get(written, ()):
            end = self._end(name)
            yield Mutant(end - len(written), end, other, node.lineno, 1.5, f"{other} for {written}")
        for left, right in zip(node.args, node.args[1:]):
            gap = self._gap(left, right)
            swapped = f"{self._text(right)}{gap}{self._text(left)}"
            yield Mutant(self._start(left), self._end(right), swapped, node.lineno, 1.4, "swap two arguments")
        if written in ("sorted", "sort"):
            yield from self._order(node)
        for argument in node.args if written in ("range", "slice", "round", "pow") else ():
            yield from self._by_one(argument, 1.3)
        if len(node.args) == 1 and not node.keywords and isinstance(name, ast.Name):
            yield self._mutant(node, self._closed(node.args[0]), 2.1, "drop a call")
        if written in ("len", "int", "abs", "sum"):
            yield from self._by_one(node, 1.9)

    def _order(self, node: ast.Call) -> Iterator[Mutant]:
        if any(keyword.arg == "reverse" for keyword in node.keywords):
            return
        end = self._end(node) - 1
        comma = ", " if node.args or node.keywords else ""
        yield Mutant(end, end, f"{comma}reverse=True", node.lineno, 1.5, "the other order")

    def _subscript(self, node: ast.Subscript) -> Iterator[Mutant]:
        parts = [node.slice]
        if isinstance(node.slice, ast.Slice):
            parts = [part for part in (node.slice.lower, node.slice.upper, node.slice.step) if part is not None]
        for part in parts:
            if not isinstance(part, (ast.Tuple, ast.Slice)):
                yield from self._by_one(part, 1.3)
        if isinstance(node.slice, ast.Constant) and node.slice.value in (0, 1):
            yield self._mutant(node.slice, "-1", 1.5, "the last instead")

    def _by_one(self, node: ast.expr, cost: float) -> Iterator[Mutant]:
        if isinstance(node, ast.Constant) and not isinstance(node.value, int):
            return
        for sign in "+-":
            yield self._mutant(node, f"{self._closed(node)} {sign} 1", cost, "off by one")

    # Names and returns

    def _names(self, function: ast.FunctionDef) -> Iterator[Mutant]:
        """Another variable of the same function."""
        names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        own = {arg.arg for arg in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]}
        own |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
        own -= {"self", "cls", "_"}
        if len(own) > 12:
            return
        for node in names:
            if isinstance(node.ctx, ast.Load) and node.id in own:
                for other in sorted(own - {node.id}):
                    yield self._mutant(node, other, 2.3, f"{other} for {node.id}")

    def _returns(self, function: ast.FunctionDef) -> Iterator[Mutant]:
        last = function.body[-1]
        if isinstance(last, ast.Expr) and not isinstance(last.value, ast.Constant):
            yield self._mutant(last, f"return {self._text(last.value)}", 1.2, "return what is computed")
        if not isinstance(last, (ast.Return, ast.Raise)):
            yield from self._added_returns(function, last)
        for owner in ast.walk(function):
            body = getattr(owner, "body", None)
            if isinstance(owner, (ast.For, ast.While, ast.If, ast.With)) and isinstance(body[-1], ast.Return):
                yield from self._dedented(owner, body[-1])

    def _added_returns(self, function: ast.FunctionDef, last: ast.stmt) -> Iterator[Mutant]:
        stored = [n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        indent = " " * function.body[0].col_offset
        for name in [*list(dict.fromkeys(stored))[:6], "True", "False"]:
            end = self._end(last)
            yield Mutant(end, end, f"\n{indent}return {name}", last.lineno, 1.3, f"return {name} at the end")

    def _dedented(self, owner: ast.stmt, last: ast.Return) -> Iterator[Mutant]:
        """A return that stands one block too deep."""
        if len(owner.body) < 2 or last.lineno != last.end_lineno or last.col_offset <= owner.col_offset:
            return
        start = self._starts[last.lineno - 1]
        text = " " * owner.col_offset + self._text(last)
        yield Mutant(start, self._end(last), text, last.lineno, 1.4, "return after the block")

    # Places

    def _mutant(self, node: ast.AST, text: str, cost: float, what: str) -> Mutant:
        return Mutant(self._start(node), self._end(node), text, node.lineno, cost, what)

    def _start(self, node: ast.AST) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.AST) -> int:
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def _gap(self, left: ast.AST, right: ast.AST) -> str:
        gap = self._slice(self._end(left), self._start(right))
        return gap.replace(")", "").replace("(", "")

    def _closed(self, node: ast.AST) -> str:
        """The text of an expression that can stand beside an operator."""
        alone = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant)
        return self._text(node) if isinstance(node, alone) else f"({self._text(node)})"

    def _text(self, node: ast.AST) -> str:
        return self._slice(self._start(node), self._end(node))

    def _slice(self, start: int, end: int) -> str:
        return self._data[start:end].decode("utf-8")


def line_span(source: str, mutant: Mutant) -> Tuple[str, str]:
    """The changed lines before and after, for a report."""
    before = source.encode("utf-8")
    first = before.rfind(b"\n", 0, mutant.start) + 1
    last = before.find(b"\n", mutant.end)
    last = len(before) if last < 0 else last
    old = before[first:last].decode("utf-8")
    new = before[first : mutant.start].decode("utf-8") + mutant.text + before[mutant.end : last].decode("utf-8")
    return old.strip(), new.strip()
