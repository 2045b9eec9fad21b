"""What the person brought: code, tests, a specification, and what the goal says outright."""

from __future__ import annotations

import ast
import builtins
import json
import keyword
import re
import sys
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

from examples import find_examples
from known import Signature, known_cases
from request import Failure, Request

_FILE_BYTES_MAX = 1 << 20
_SIGNATURE = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\(([^()]*)\)")
_TEXTS = (".md", ".txt", ".rst")


@dataclass
class Given:
    """The input, sorted by role."""

    goal: str
    module: str
    code: Dict[str, str] = field(default_factory=dict)
    tests: Dict[str, str] = field(default_factory=dict)
    texts: List[str] = field(default_factory=list)
    signatures: List[Signature] = field(default_factory=list)

    def path(self) -> str:
        """The module's file."""
        return f"{self.module}.py"

    def specification(self) -> str:
        """The goal and the texts beside it."""
        return "\n\n".join([self.goal.strip(), *self.texts]).strip()

    def sure_cases(self) -> List[Tuple[str, dict]]:
        """Cases that need no model: examples that were stated, operations that are known."""
        names = {name for name, _ in self.signatures} or None
        cases = [("an example that was given", case) for case in find_examples(self.specification(), names)]
        if len(self.signatures) == 1 and not self.texts and not self.code:
            cases += [("the goal's own words", case) for case in known_cases(self.goal, self.signatures[0])]
        return cases


def fit(text: str, bytes_max: int) -> str:
    """A text cut to what it takes in a step's output, where each letter beyond ASCII takes six bytes."""
    size = len(json.dumps(text))
    return text if size <= bytes_max else text[: len(text) * bytes_max // size]


def read_given(request: Request) -> Given:
    """Reads and checks the input."""
    if not request.goal.strip():
        raise Failure("say what the code should do: the goal is empty")
    given = Given(goal=request.goal, module="")
    for item in request.inputs:
        _sort(given, item["name"], _read(item))
    given.module = request.params.get("module") or _module_of(given) or "solution"
    if keyword.iskeyword(given.module) or given.module in sys.stdlib_module_names:
        raise Failure(f"`{given.module}` cannot be the module's name: Python has one of that name")
    if given.path() in given.tests:
        raise Failure(f"{given.path()} is a test that was given, so the module needs another name")
    given.signatures = _signatures(given.goal)
    return given


def _read(item: dict) -> str:
    with open(item["path"], "rb") as handle:
        data = handle.read(_FILE_BYTES_MAX + 1)
    if len(data) > _FILE_BYTES_MAX:
        raise Failure(f"{item['name']} has more than {_FILE_BYTES_MAX:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failure(f"{item['name']} is not UTF-8: byte {error.start} cannot be read") from error
    if "\0" in text:
        raise Failure(f"{item['name']} is not text: it has NUL bytes")
    return text


def _sort(given: Given, name: str, text: str) -> None:
    if name.endswith(_TEXTS):
        given.texts.append(text.strip())
        return
    if not name.endswith(".py"):
        raise Failure(f"{name}: only Python files and texts ({', '.join(_TEXTS)}) can be used")
    if not name[:-3].isidentifier():
        raise Failure(f"{name} cannot be imported: its name is no Python name")
    try:
        ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise Failure(f"{name} is not Python: {error}") from error
    is_test = name.startswith("test_") or name.endswith("_test.py")
    (given.tests if is_test else given.code)[name] = text


def _module_of(given: Given) -> Optional[str]:
    """The one module that the tests import and nobody has."""
    wanted = set()
    for text in given.tests.values():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                wanted.add(node.module)
            elif isinstance(node, ast.Import):
                wanted.update(name.name for name in node.names)
    missing = {
        name
        for name in wanted
        if "." not in name and name not in sys.stdlib_module_names and f"{name}.py" not in given.code
    }
    if len(missing) == 1:
        return missing.pop()
    return next(iter(given.code))[:-3] if len(given.code) == 1 and not missing else None


def _signatures(goal: str) -> List[Signature]:
    """What a goal declares as `name(parameter, …)`."""
    found: List[Signature] = []
    for match in _SIGNATURE.finditer(goal):
        parameters = (
            [part.split(":")[0].split("=")[0].strip() for part in match[2].split(",")] if match[2].strip() else []
        )
        fits = all(
            part.isidentifier() and not keyword.iskeyword(part) and not hasattr(builtins, part) for part in parameters
        )
        if fits and not keyword.iskeyword(match[1]) and match[1] not in [name for name, _ in found]:
            found.append((match[1], parameters))
    return found
