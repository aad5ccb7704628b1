"""What all sessions of a run share: the plan, who is asked, what is counted; and how a session begins."""

from collections.abc import Callable, Sequence

from loadgen.measure.sample import Sample
from loadgen.measure.spending import cost_usd
from loadgen.plan.plan import Plan
from loadgen.run.pacer import Pacer
from loadgen.run.purse import Purse
from loadgen.run.routes import Routed, Way
from loadgen.scenario.model import Target
from loadgen.wire.client import Client
from loadgen.wire.stopwatch import now_ns
from loadgen.wire.timeline import Timeline
from loadgen.workload.prompt import Conversation, Prompt, Prompts

Window = tuple[int, int | None]
"""(start, end) of a measurement window, offsets from the epoch; an end of None is still open."""


class Stage:
    """The state of a run that its sessions ask.

    epoch_ns: instant of offset 0. windows_ns: of every level; the runner closes them early. stopped: whether
    no further session begins; over: whether no further turn does. seq: the number of the latest request.
    starts, thoughts: who waits for a planned start, who waits between two turns. purse: None: no budget;
    broke: called when it has nothing for a request.
    """

    def __init__(
        self,
        plan: Plan,
        clients: Sequence[Client | Routed],
        prompts: Prompts,
        *,
        record: Callable[[Sample, Timeline], None],
        drop: Callable[[int, int], None],
        starts: Pacer,
        thoughts: Pacer,
        purse: Purse | None,
        broke: Callable[[], None],
    ) -> None:
        self.plan = plan
        self.clients = clients
        self._record = record
        self._purse = purse
        self._broke = broke
        self.drop = drop
        self.starts = starts
        self.thoughts = thoughts
        self.epoch_ns = 0
        self.windows_ns: list[Window] = [level.window_ns for level in plan.levels]
        self.stopped = self.over = False
        self.seq = 0
        self.begun = [0] * len(clients)
        self._of_level = [[0] * len(clients) for _ in plan.levels]
        self.ran_out: set[str] = set()
        self._prompts = prompts
        self._next = [plan.first_session] * len(clients)

    @property
    def elapsed_ns(self) -> int:
        """Time since the epoch."""
        return max(0, now_ns() - self.epoch_ns)

    def next_session(self, target: int, intended_ns: int) -> tuple[int, Conversation] | None:
        """Begin the target's next session, of the closed loop: its number and what is said.

        None when none begins any more at that time.
        """
        number, count = self._next[target], self._prompts.count
        where = self.plan.phase(intended_ns)
        if self.stopped or where is None:
            return None
        if count is not None and number >= count:
            self.ran_out.add(self.clients[target].target.name)
            return None
        if where[1] == "measure" and not self._counted(target, where[0]):
            return None
        self._next[target] += self.plan.stride
        return number, self._prompts.conversation(number, target)

    def words(self, target: int, number: int) -> Conversation | None:
        """Return what a session of the open loop says, by its number; None when the prompts are used up."""
        count = self._prompts.count
        if count is not None and number >= count:
            self.ran_out.add(self.clients[target].target.name)
            return None
        return self._prompts.conversation(number, target)

    def arrived(self, target: int, intended_ns: int) -> bool:
        """Count a session of the open loop; False when none begins any more at that time."""
        where = self.plan.phase(intended_ns)
        if self.stopped or where is None:
            return False
        if where[1] == "measure":
            self.begun[target] += 1
        return True

    def hold(self, target: Target, prompt: Prompt) -> float | None:
        """Ask for the money of a request, in USD; None: it can't be sent any more."""
        if self._purse is None:
            return 0.0
        held_usd = self._purse.hold(target, prompt)
        if held_usd is None:
            self._broke()
        return held_usd

    def ended(self, sample: Sample, timeline: Timeline, way: Way, prompt: Prompt, held_usd: float) -> None:
        """Record a request that has ended; held_usd: as `hold` said."""
        target, taken = way[0].target, way[1]
        if taken is not None:
            sample.route, (sample.rule, sample.risk) = target.name, taken
        if target.price is not None:
            sample.cost_usd = cost_usd(target, prompt, timeline)
        if self._purse is not None:
            self._purse.settle(held_usd, timeline, sample.cost_usd)
        self._record(sample, timeline)

    def done_with(self, target: int) -> bool:
        """Whether no session of this target begins any more, at no level."""
        return self.stopped or self.clients[target].target.name in self.ran_out

    def level_after(self, instant_ns: int) -> int | None:
        """Return when the next level begins; None when there is none."""
        return next((at.start_ns for at in self.plan.levels if at.start_ns > instant_ns), None)

    def _counted(self, target: int, level: int) -> bool:
        """Count a session of a window; False when the target has had all of its."""
        counts, most = self._of_level[level], self.plan.requests
        if most is not None and counts[target] >= most:
            if level == len(self.plan.levels) - 1:
                self.ran_out.add(self.clients[target].target.name)
            return False
        counts[target] += 1
        self.begun[target] += 1
        return True
