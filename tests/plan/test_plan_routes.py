"""Which route a request takes, and how long a prompt is taken to be."""

import pytest

from loadgen.plan.routes import choose, prompt_tokens
from loadgen.scenario.lengths import Tokens
from loadgen.scenario.model import Route
from loadgen.workload.prompt import Conversation, Prompt, Turn

SMALL_TASKS = ("classification", "triage", "subagent", "summarize")
RULE = (
    Route(to="sonnet", risk=("high",)),
    Route(to="mini", task=SMALL_TASKS),
    Route(to="mini", over=Tokens(180_000)),
    Route(to="sonnet"),
)


def said(task: str = "review", risk: str | None = None) -> Conversation:
    return Conversation(task, (), risk=risk)


@pytest.mark.parametrize(
    ("conversation", "tokens", "number"),
    [
        (said("triage", "high"), 250_000, 0),
        (said("triage"), 250_000, 1),
        (said("triage", "low"), 10, 1),
        (said(), 180_000, 3),
        (said(), 180_000.5, 2),
        (said(), 10, 3),
        (said(risk="High"), 10, 3),
    ],
    ids=["risk-first", "task", "risk-of-another-name", "at-the-bound", "over-it", "the-rest", "case-matters"],
)
def test_the_first_route_whose_conditions_are_met(
    conversation: Conversation, tokens: float, number: int
) -> None:
    assert choose(RULE, conversation, tokens) == number


def test_over_and_up_to_share_the_lengths_without_gap_or_overlap() -> None:
    low, high = Route(to="a", up_to=Tokens(100)), Route(to="b", over=Tokens(100))
    for tokens in (1, 99.9, 100, 100.1, 101):
        assert choose((low, high), said(), tokens) == choose((high, low), said(), tokens) ^ 1
    with pytest.raises(LookupError, match="101 tokens"):
        choose((low,), said(), 101)


TEXT = "x" * 400
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9_000}}
PARTS = [{"role": "user", "content": [{"type": "text", "text": TEXT}, IMAGE]}]
USER = {"role": "user", "content": TEXT}
CALL: dict[str, object] = {"role": "assistant", "content": None, "tool_calls": []}


@pytest.mark.parametrize(
    ("says", "tokens"),
    [
        (Turn([USER], asked_prompt_tokens=70), 70),
        (Turn([USER]), 100),
        (Prompt([USER, CALL, USER], "t"), 200),
        (Prompt(PARTS, "t"), 100),
        (Prompt([], "t", inputs=(TEXT, TEXT)), 200),
        (Prompt([USER], "t", fill=(TEXT, TEXT)), 200),
        (Prompt([], "t", body={"messages": [USER]}), 100),
        (Prompt([], "t", body={"prompt": TEXT}), 100),
        (Prompt([], "t", body={"input": [TEXT, TEXT]}), 200),
        (Prompt([], "t", body={"model": "m"}), 0.25),
    ],
    ids=[
        "asked",
        "text",
        "history",
        "no-images",
        "inputs",
        "fill",
        "body",
        "body-prompt",
        "body-input",
        "nothing",
    ],
)
def test_the_tokens_of_a_prompt(says: Turn | Prompt, tokens: float) -> None:
    assert prompt_tokens(says, chars_per_token=4.0) == tokens
