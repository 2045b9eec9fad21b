"""The contract's command: does the module pass its tests, judged anew.

The module is read from the workspace; the tests come from the input and from
the journal, and what lies in the workspace under their names must be the same.
"""

from __future__ import annotations

import sys
from typing import Optional

from bench import Bench
from given import read_given
from request import Failure, load_request


def fault() -> Optional[str]:
    """Why the contract does not hold; None when it does."""
    request = load_request()
    given = read_given(request)
    made = request.output("finish")
    tests = dict(given.tests)
    if made["test_text"]:
        tests[made["test_path"]] = made["test_text"]
    if not tests:
        return "there is no test: nothing says what is right. State an example, such as: f(2) should be 4"
    for path, text in tests.items():
        if _read(path) != text:
            return f"{path} was changed; mend {given.path()} instead"
    code = _read(given.path())
    with Bench(given, made["test_path"], made["test_text"]) as bench:
        why = bench.fault_of(code) or bench.weakness(code)
    return f"{why}. Mend {given.path()}; tests must stay as they are" if why else None


def _read(path: str) -> str:
    with open(path, encoding="utf-8", newline="") as handle:
        return handle.read()


def main() -> None:
    """Exits with 0 only where the contract holds."""
    try:
        why = fault()
    except (Failure, OSError, UnicodeDecodeError, SyntaxError) as error:
        why = str(error)
    if why:
        print(why, file=sys.stderr)
        sys.exit(1)
    print("every test ran and passed")


if __name__ == "__main__":
    main()
