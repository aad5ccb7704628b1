"""What this machine allows: checked before the run, with the remedy."""

import resource

from loadgen.errors import LimitError
from loadgen.plan.plan import Plan

_SPARE = 64  # files, pipes, timers and the probe


def check_descriptors(plan: Plan) -> None:
    """Make sure that every place can have a connection; raises the soft limit as far as the hard one allows.

    Raises:
        LimitError: more streams than file descriptors.
    """
    needed = plan.places + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        what = f"{plan.places} streams need {needed} file descriptors, this process may have {hard}"
        raise LimitError(
            "load.concurrency", what, f"run `ulimit -n {needed}` first, or lower the concurrency"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
