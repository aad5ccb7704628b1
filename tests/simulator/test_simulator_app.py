"""What an answer will be, decided before its first token."""

import asyncio
import json

import pytest

from loadgen.catalog.profiles import profile
from loadgen.simulator.api import ApiError
from loadgen.simulator.app import Simulator
from loadgen.simulator.chat import read_chat

WINDOW = 48_000  # of gemini-3.5-flash


@pytest.mark.parametrize(
    ("prompt_tokens", "cap", "expected"),
    [
        pytest.param(10, 7, (7, "length"), id="capped"),
        pytest.param(WINDOW - 2, None, (2, "length"), id="the-window-caps"),
        pytest.param(WINDOW - 2, 2, (2, "length"), id="just-fits"),
        pytest.param(WINDOW - 2, 3, None, id="answer-too-long"),
        pytest.param(WINDOW, None, None, id="prompt-too-long"),
        pytest.param(WINDOW, 10**30, None, id="absurd-cap"),
    ],
)
async def test_an_answer_fits_the_window(
    prompt_tokens: int, cap: int | None, expected: tuple[int, str] | None
) -> None:
    message = {"role": "user", "content": "x" * (prompt_tokens * 43 // 10)}
    chat = {"model": "gemini-3.5-flash", "messages": [message], "max_tokens": cap}
    ask = read_chat(json.dumps(chat).encode())
    async with asyncio.TaskGroup() as tasks:
        simulator = Simulator(models=(), seed=0, api_key=None, log=None, tasks=tasks)
        known = profile(ask.model)
        if expected is None:
            with pytest.raises(ApiError) as caught:
                simulator._answer(ask, known, 0)
            assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")
        else:
            answer = simulator._answer(ask, known, 0)
            assert (ask.prompt_tokens, answer.output_tokens, answer.ends_with) == (
                prompt_tokens,
                *expected,
            )
