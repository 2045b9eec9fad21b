"""Step 3: tries the model's first proposal.

Output: whether it mends the fault, and else what to tell the model. A small
local model is not asked again: the search that follows is worth more.
"""

from __future__ import annotations

from proposal import judged
from request import Request, run_step
from workbench import Workbench


def verify(request: Request) -> dict:
    """The whole output of the step."""
    answer = request.output("fix")
    if answer is None:
        return {"green": False, "again": False, "told": f"the model proposed nothing: {request.status('fix')}"}
    with Workbench(request, request.output("red")["reproduction"]) as bench:
        _, why = judged(answer, bench, bench.baseline())
    return {
        "green": why is None,
        "again": why is not None and not request.is_small_model(),
        "told": (why or "")[:2_000],
    }


if __name__ == "__main__":
    run_step(verify)
