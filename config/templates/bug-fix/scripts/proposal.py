"""A model's proposal as changed files, and the judgement of it."""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from runner import Outcome
from workbench import Workbench


def changes_of(answer: object, bench: Workbench) -> Tuple[Dict[str, str], Optional[str]]:
    """The files that an answer's edits make, and why they cannot be made."""
    edits = answer.get("edits") if isinstance(answer, dict) else None
    if not isinstance(edits, list) or not edits:
        return {}, "it proposes no edit"
    changes: Dict[str, str] = {}
    for edit in edits:
        path, find = str(edit.get("path")), str(edit.get("find") or "")
        if path not in bench.project.sources:
            return {}, f"{path[:80]} is not a source file of the project"
        text = changes.get(path, bench.originals[path])
        count = text.count(find) if find else 0
        if count == 0:
            return {}, f"{path}: the text to replace does not stand there: {find[:80]!r}"
        if count > 1:
            return {}, f"{path}: the text to replace stands there {count} times: {find[:80]!r}"
        changes[path] = text.replace(find, str(edit.get("replace") or ""))
    return changes, None


def judged(answer: object, bench: Workbench, baseline: Outcome) -> Tuple[Dict[str, str], Optional[str]]:
    """The files of an answer, and why they are no fix; no reason when they are one."""
    changes, why = changes_of(answer, bench)
    return changes, why or bench.fault_of(changes, baseline)
