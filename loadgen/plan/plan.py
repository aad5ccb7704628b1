"""The schedule of a run, laid down before it begins.

Closed loop: `concurrency` places a target. Each place begins its first session at a planned time and its
next one in the moment the former ends, so only the first starts are laid down. A target's sessions are
numbered in the order in which they begin, and the number decides the prompt: all targets get the same ones.
"""

import hashlib
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadgen.scenario.model import Scenario


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to happen; all times are ns from the run's epoch.

    when_ns, place, target: shape (starts,), int64: when each place of each target begins, in order of time;
    targets take turns in going first, so that drift and order hit all alike.
    first_session, stride: a target's sessions are numbered first_session, first_session + stride, ...
    requests: how many sessions of the window each target gets at most.
    window_ns: length of the window; None when the count alone ends it.
    """

    when_ns: NDArray[np.int64]
    place: NDArray[np.int64]
    target: NDArray[np.int64]
    targets: int
    first_session: int
    stride: int
    ramp_ns: int
    warmup_ns: int
    window_ns: int | None
    grace_ns: int
    requests: int | None
    digest: str

    @property
    def places(self) -> int:
        """Sessions at any one time, over all targets."""
        return len(self.when_ns)

    def shard(self, i: int, n: int) -> "Plan":
        """Part i of n: every n-th place, session and counted request; all parts together are the plan."""
        mine = self.place % n == i
        requests = None if self.requests is None else len(range(i, self.requests, n))
        return replace(
            self,
            when_ns=self.when_ns[mine],
            place=self.place[mine] // n,
            target=self.target[mine],
            first_session=self.first_session + i * self.stride,
            stride=self.stride * n,
            requests=requests,
        )


def build(scenario: Scenario, contents_digest: str) -> Plan:
    """Lay down the plan of a closed loop.

    contents_digest: hex digest of what the prompts are made of; it enters the plan's digest together with
    everything in the scenario that decides what is sent, but not the salt.
    """
    load, count = scenario.load, len(scenario.targets)
    places = int(load.concurrency or 1)
    if load.requests is not None and not load.warmup_ns:
        places = min(places, int(load.requests))  # further places would never get a request
    place = np.repeat(np.arange(places, dtype=np.int64), count)
    turn = np.tile(np.arange(count, dtype=np.int64), places)
    return Plan(
        when_ns=place * int(load.ramp_ns) // places,
        place=place,
        target=(turn + place) % count,
        targets=count,
        first_session=0,
        stride=1,
        ramp_ns=int(load.ramp_ns),
        warmup_ns=int(load.warmup_ns),
        window_ns=None if load.duration_ns is None else int(load.duration_ns),
        grace_ns=int(load.grace_ns),
        requests=None if load.requests is None else int(load.requests),
        digest=_digest(scenario, contents_digest),
    )


def _digest(scenario: Scenario, contents_digest: str) -> str:
    """SHA-256 over what decides the load and the words; names of targets and reports don't."""
    decisive = (
        scenario.seed,
        [
            msgspec.structs.replace(w, salt=bool(w.salt), file=None, chars_per_token=None)
            for w in scenario.workloads
        ],
        scenario.load,
        [(t.endpoint, t.extra_body) for t in scenario.targets],
        contents_digest,
    )
    return hashlib.sha256(msgspec.json.encode(decisive, enc_hook=int, order="sorted")).hexdigest()
