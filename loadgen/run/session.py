"""One session: what a user says and hears. So far of one turn."""

from collections.abc import Callable

from loadgen.measure.sample import Origin, Sample, make_sample
from loadgen.wire.client import Client
from loadgen.wire.timeline import Timeline
from loadgen.workload.prompt import Prompt

Record = Callable[[Sample, Timeline], None]


async def run_session(
    client: Client,
    prompt: Prompt,
    origin: Origin,
    *,
    epoch_ns: int,
    window_ns: Callable[[], tuple[int, int | None]],
    record: Record,
) -> int:
    """Send the session's request and wait for its end; return that instant (offset from the epoch).

    `record` gets the sample once the answer has been decoded, shortly after. window_ns is asked for then:
    an interrupt may have closed the window.
    """

    def deliver(timeline: Timeline) -> None:
        record(make_sample(origin, timeline, epoch_ns, window_ns()), timeline)

    return await client.send(prompt, deliver) - epoch_ns
