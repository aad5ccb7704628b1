"""One request per real target before the load starts, the way the load will send them."""

import asyncio
from collections.abc import Sequence
from typing import Final

from loadgen.errors import EndpointError, ScenarioError
from loadgen.measure.spending import cost_usd
from loadgen.run.purse import Purse
from loadgen.scenario.model import Target
from loadgen.wire.client import Client
from loadgen.wire.timeline import Timeline
from loadgen.workload.prompt import Prompt

PROBE: Final = Prompt(  # 16: the Responses API takes no lower cap
    messages=[{"role": "user", "content": "Say OK."}],
    task="probe",
    asked_output_tokens=16,
    image={"size": "1024x1024", "n": 1},  # the smallest that models of all kinds make
)
_REMEDY: Final = {
    "connect_error": "check base_url and that the server runs",
    "timeout": "check that the server is ready, or raise timeouts",
    "http_error": "check base_url (it ends in /v1), model and key",
    "rate_limited": "wait, or ask for a higher limit",
    "disconnected": "check base_url (http or https), and what the server logged",
    "bad_stream": "check base_url (http or https): this is no OpenAI-compatible stream",
}


async def probe(clients: Sequence[Client], purse: Purse) -> None:
    """Send each target one short request.

    An answer without output passes: a reasoning model may spend the few tokens asked for on thought.

    Raises:
        EndpointError: with one problem a target, in the server's own words.
        ScenarioError: the budget does not reach for that.
    """
    answers = await asyncio.gather(*(ask(client, PROBE, purse) for client in clients))
    for client in clients:
        client.close()  # the load begins with connections of its own
    errors = [
        EndpointError(
            f"target {client.target.name!r} ({client.target.base_url})",
            f"the probe failed: {answer.error}",
            f"{_remedy(client.target, answer)} (--no-probe skips this)",
        )
        for client, answer in zip(clients, answers, strict=True)
        if answer.outcome not in ("ok", "empty", "truncated")
    ]
    if errors:
        first = errors[0].problems[0]
        raise EndpointError(
            first.place, first.what, first.remedy, more=[p for e in errors[1:] for p in e.problems]
        )


def _remedy(target: Target, answer: Timeline) -> str:
    if answer.status == 404 and target.without_path:
        return f"base_url has no path: try {target.base_url}/v1, else check model and key"
    if answer.outcome == "connect_error" and "certificate" in (answer.error or ""):
        return "check ca_file, and that base_url has a name the certificate is for"
    return _REMEDY.get(answer.outcome, "see what the server sent")


async def ask(client: Client, prompt: Prompt, purse: Purse) -> Timeline:
    """Send one request outside of any run and pay for it; the caller closes the client's connections.

    Raises:
        ScenarioError: the budget does not reach for it.
    """
    target = client.target
    held_usd = purse.hold(target, prompt)
    if held_usd is None:
        what = f'does not reach for the first requests to "{target.name}", before the load'
        raise ScenarioError("budget.max_usd", what, "write more (`loadgen check` tells), or --no-probe")
    answered: asyncio.Future[Timeline] = asyncio.get_running_loop().create_future()
    sweeper = asyncio.ensure_future(_sweep(client))
    try:
        await client.send(prompt, answered.set_result)
        timeline = await answered
    finally:
        sweeper.cancel()
    usd = cost_usd(target, prompt, timeline)
    purse.settle(held_usd, timeline, usd)
    purse.note_before(target.name, usd)
    return timeline


async def _sweep(client: Client) -> None:
    while True:
        await asyncio.sleep(0.1)
        list(client.sweep())
