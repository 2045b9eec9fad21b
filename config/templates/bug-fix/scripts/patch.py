"""Changes as a unified diff that `patch -p1` and `git apply` take.

Run as a program it writes fix.patch anew from the files below fixed/.
"""

from __future__ import annotations

import difflib
import os
from typing import Dict, List


def patch_text(originals: Dict[str, str], changes: Dict[str, str]) -> str:
    """The diff of the changed files, in the order of their paths."""
    parts: List[str] = []
    for path in sorted(changes):
        # Only "\n" ends a line in a diff; splitlines knows many more.
        before, after = (_lines(text) for text in (originals.get(path, ""), changes[path]))
        for line in difflib.unified_diff(before, after, f"a/{path}", f"b/{path}"):
            parts.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(parts)


def _lines(text: str) -> List[str]:
    lines = text.split("\n")
    ended = [f"{line}\n" for line in lines[:-1]]
    return [*ended, lines[-1]] if lines[-1] else ended


def fixed_files(folder: str = "fixed") -> Dict[str, str]:
    """What lies below fixed/, by path in the project."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            whole = os.path.join(parent, name)
            with open(whole, encoding="utf-8", newline="") as handle:
                found[os.path.relpath(whole, folder)] = handle.read()
    return found


def main() -> None:
    """Writes fix.patch anew."""
    from request import load_request
    from workbench import Workbench

    request = load_request()
    reproduction = request.output("red")["reproduction"]
    with Workbench(request, reproduction) as bench:
        changes = {path: text for path, text in fixed_files().items() if bench.originals.get(path) != text}
        with open("fix.patch", "w", encoding="utf-8", newline="") as handle:
            handle.write(patch_text(bench.originals, changes))


if __name__ == "__main__":
    main()
