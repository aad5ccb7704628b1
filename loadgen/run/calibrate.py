"""A few requests before the load, which measure how much text a token of the first target is."""

import asyncio
from collections.abc import Sequence
from typing import Final

from loadgen.run.probe import ask
from loadgen.run.purse import Purse
from loadgen.wire.client import Client
from loadgen.workload.calibrate import CalibrationPrompt

_AT_ONCE: Final = 8


async def calibrate(
    client: Client, prompts: Sequence[CalibrationPrompt], purse: Purse
) -> list[tuple[CalibrationPrompt, int | None]]:
    """Send each prompt; return it with the prompt tokens that the server counted (None: it did not tell).

    Raises:
        ScenarioError: the budget does not reach for that.
    """
    places = asyncio.Semaphore(_AT_ONCE)

    async def counted(asked: CalibrationPrompt) -> tuple[CalibrationPrompt, int | None]:
        async with places:
            answer = await ask(client, asked.prompt, purse)
        return asked, answer.usage.prompt_tokens if answer.usage is not None else None

    try:
        return list(await asyncio.gather(*map(counted, prompts)))
    finally:
        client.close()  # the load begins with connections of its own
