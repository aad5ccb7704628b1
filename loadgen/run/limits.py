"""What this machine allows: checked before the run, with the remedy."""

import resource
from collections.abc import Sequence

from loadgen.errors import LimitError
from loadgen.plan.plan import Plan
from loadgen.scenario.model import Target

_SPARE = 64  # files, pipes, timers and the probe


def most_connections(plan: Plan, targets: Sequence[Target]) -> int:
    """Return how many connections can be open at a time, over all targets."""
    places = plan.places // plan.targets
    return sum(min(places, target.max_connections or places) for target in targets)


def check_descriptors(plan: Plan, targets: Sequence[Target]) -> None:
    """Make sure that every place can have a connection; raises the soft limit as far as the hard one allows.

    Raises:
        LimitError: more streams than file descriptors.
    """
    streams = most_connections(plan, targets)
    needed = streams + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        what = f"{streams} streams need {needed} file descriptors, this process may have {hard}"
        raise LimitError(
            "load.concurrency", what, f"run `ulimit -n {needed}` first, or lower the concurrency"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
