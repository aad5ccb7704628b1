"""What this machine allows: checked before the run, with the remedy."""

import fcntl
import os
import resource
from collections.abc import Sequence

from loadgen.errors import LimitError
from loadgen.plan.plan import Plan
from loadgen.scenario.model import Target

_SPARE = 64  # files, pipes, timers and the probe
_FEW = 1_000  # so few arrivals in all need no bound
_MANY = 65_536


def most_connections(plan: Plan, targets: Sequence[Target], max_in_flight: int | None) -> int | None:
    """Return how many connections can be open at a time, over all targets; None when nothing bounds it.

    In an open loop only a cap, or a target's own limit, does: the slower the answers, the more are under way.
    """
    if not plan.open_loop:
        places = plan.places // plan.targets
        return sum(min(places, target.max_connections or places) for target in targets)
    caps = [cap for cap in (max_in_flight, len(plan.when_ns)) if cap is not None]
    bounds = [min([*caps, target.max_connections or min(caps)]) for target in targets]
    bounded = max_in_flight is not None or all(target.max_connections for target in targets)
    return sum(bounds) if bounded or sum(bounds) <= _FEW else None


def check_descriptors(plan: Plan, targets: Sequence[Target], max_in_flight: int | None) -> None:
    """Make sure that every stream can have a connection; raises the soft limit as far as the hard one allows.

    Raises:
        LimitError: more streams than file descriptors.
    """
    streams = most_connections(plan, targets, max_in_flight)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if streams is None:  # as many as can be had
        streams = (hard if hard != resource.RLIM_INFINITY else _MANY) - _SPARE
    needed = streams + _SPARE
    if soft == resource.RLIM_INFINITY or soft >= needed:
        _make_room(min(needed, _MANY))
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        key = "load.max_in_flight" if plan.open_loop else f"load.{plan.mode}"
        what = f"{streams} streams need {needed} file descriptors, this process may have {hard}"
        raise LimitError(key, what, f"run `ulimit -n {needed}` first, or write a smaller number")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    _make_room(min(needed, _MANY))


def _make_room(descriptors: int) -> None:
    """Have the kernel enlarge the table of descriptors now.

    Linux does so when the 257th, 513th, ... is opened, and a process with threads then waits 15 ms for
    all cores.
    """
    ours, other = os.pipe()
    try:
        # the lowest that is free from there on: what the process has open stays as it is
        os.close(fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, descriptors - 1))
    except OSError:  # none is free there: then the table is as large already
        pass
    finally:
        os.close(ours)
        os.close(other)
