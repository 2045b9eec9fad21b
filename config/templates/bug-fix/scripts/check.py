"""The contract's command: is the fault mended, judged anew from the files.

Starts from the given input and the journal, lays what is below fixed/ over
it, and runs everything again. Nothing that earlier steps concluded is trusted
but the tests, whose text and hashes the journal holds.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Optional

from patch import fixed_files, patch_text
from request import Failure, load_request
from workbench import Workbench

_HELP = (
    "Put whole corrected source files below fixed/, under their paths in the project (not tests), "
    "then run: python3 /ninja/template/scripts/patch.py"
)


def fault() -> Optional[str]:
    """Why the contract does not hold; None when it does."""
    request = load_request()
    red = request.output("red")
    reproduction = red["reproduction"]
    if reproduction and hashlib.sha256(reproduction["text"].encode()).hexdigest() != reproduction["sha256"]:
        return "the failing test is not the one that was written"
    try:
        files = fixed_files()
    except (OSError, UnicodeDecodeError) as error:
        return f"a file below fixed/ cannot be read: {error}"
    with Workbench(request, reproduction) as bench:
        if bench.judges() != red["judges"]:
            return "the tests are not those that failed before"
        changes = {path: text for path, text in files.items() if bench.originals.get(path) != text}
        if not changes:
            return f"no source file was changed. {_HELP}"
        baseline = bench.baseline()
        if not baseline.failing():
            return "no test fails on the code as it was given"
        why = bench.fault_of(changes, baseline)
        if why:
            return f"{why}. {_HELP}"
        with open("fix.patch", encoding="utf-8", newline="") as handle:
            if handle.read() != patch_text(bench.originals, changes):
                return f"fix.patch is not the difference of the files below fixed/. {_HELP}"
    return None


def main() -> None:
    """Exits with 0 only where the contract holds."""
    try:
        why = fault()
    except (Failure, OSError) as error:
        why = str(error)
    if why:
        print(why, file=sys.stderr)
        sys.exit(1)
    print("all tests pass, and the tests are those that failed before")


if __name__ == "__main__":
    main()
