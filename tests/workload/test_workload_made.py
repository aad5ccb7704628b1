"""Made conversations: lengths as asked, turns, one text for each key, and bounds set by the context."""

import re
from typing import Any, Literal

import numpy as np
import pytest

from loadgen.errors import ScenarioError
from loadgen.scenario.lengths import Constant, ConstantTime, Duration, Empirical, Lengths, Tokens, Uniform
from loadgen.scenario.words import Tool, Workload
from loadgen.workload import prose, text
from loadgen.workload.prompt import Prompts
from loadgen.workload.source import open_prompts
from loadgen.workload.text import TextMaker, words
from loadgen.workload.vocabulary import WORDS

Made = Literal["code", "prose", "synthetic"]
MADE: tuple[Made, ...] = ("code", "prose", "synthetic")
PER_TOKEN = {"code": 4.3, "prose": prose.CHARS_PER_TOKEN, "synthetic": text.CHARS_PER_TOKEN}


def opened(source: Made, seed: int = 7, context: int | None = None, **keys: Any) -> Prompts:
    return open_prompts([Workload(source=source, **{"salt": False, **keys})], seed, context=context)


def chars(messages: list[dict[str, Any]]) -> int:
    return sum(len(message["content"]) for message in messages)


@pytest.mark.parametrize("source", MADE)
def test_the_whole_prompt_has_the_asked_length(source: Made) -> None:
    prompts = opened(source, prompt_tokens=Uniform(Tokens(100), Tokens(9000)), system="Be brief.")
    for n in range(300):
        (turn,) = prompts.conversation(n, 0).turns
        assert turn.asked_prompt_tokens is not None
        # two characters are the blank line between two system texts
        assert chars(turn.messages) == pytest.approx(turn.asked_prompt_tokens * PER_TOKEN[source], abs=3)


@pytest.mark.parametrize("source", MADE)
def test_measured_numbers_decide_the_length(source: Made) -> None:
    asked = Constant(Tokens(500))
    short = opened(source, prompt_tokens=asked, chars_per_token=3.0, overhead_tokens=60.0)
    long = opened(source, prompt_tokens=asked, chars_per_token=3.0, overhead_tokens=10.0)
    for n in range(20):
        texts = [chars(prompts.conversation(n, 0).turns[0].messages) for prompts in (short, long)]
        assert texts[1] - texts[0] == pytest.approx(50 * 3, abs=1)


@pytest.mark.parametrize("source", MADE)
def test_no_two_turns_begin_alike(source: Made) -> None:
    prompts = opened(source, prompt_tokens=Constant(Tokens(100)), turns=Constant(Tokens(3)))
    texts = [turn.messages[-1]["content"] for n in range(700) for turn in prompts.conversation(n, 0).turns]
    skip = {"code": len("<prefix>"), "prose": len(prose.INSTRUCTION), "synthetic": 0}[source]
    assert len({said[skip : skip + 40] for said in texts}) == 2100


@pytest.mark.parametrize("source", MADE)
def test_later_turns_bring_texts_of_their_own_length(source: Made) -> None:
    prompts = opened(
        source,
        prompt_tokens=Uniform(Tokens(50), Tokens(500)),
        output_tokens=Uniform(Tokens(5), Tokens(50)),
        turns=Empirical((Tokens(1), Tokens(2), Tokens(6))),
        think_time=ConstantTime(Duration(5)),
    )
    lengths, counts = [], []
    for n in range(300):
        first, *later = prompts.conversation(n, 0).turns
        counts.append(1 + len(later))
        assert first.think_ns == 0
        for turn in later:
            assert [message["role"] for message in turn.messages] == ["user"]
            assert (turn.think_ns, turn.asked_prompt_tokens, turn.answer) == (5, None, None)
            assert turn.asked_output_tokens is not None
            assert 5 <= turn.asked_output_tokens <= 50
            lengths.append(chars(turn.messages) / PER_TOKEN[source])
    assert set(counts) == {1, 2, 6}
    assert 45 < min(lengths) < 60
    assert 490 < max(lengths) < 510  # the instruction of prose comes on top
    assert np.mean(lengths) == pytest.approx(275, rel=0.06)


@pytest.mark.parametrize("source", MADE)
def test_a_conversation_is_a_function_of_seed_and_session(source: Made) -> None:
    keys: dict[str, Any] = {
        "turns": Uniform(Tokens(1), Tokens(4)),
        "output_tokens": Uniform(Tokens(1), Tokens(99)),
    }
    here, again, other = opened(source, **keys), opened(source, **keys), opened(source, seed=8, **keys)
    there = [here.conversation(n, 0) for n in range(200)]
    assert [again.conversation(n, 1) for n in reversed(range(200))] == there[::-1]
    assert all(other.conversation(n, 0).turns[0] != there[n].turns[0] for n in range(200))
    assert other.contents_digest == here.contents_digest


def test_prose_reads_like_prose() -> None:
    content = opened("prose", prompt_tokens=Constant(Tokens(20_000))).conversation(0, 0).turns[0].messages[0]
    said = content["content"].removeprefix(prose.INSTRUCTION)
    letters = sum(char.isalpha() or char in " .,\n" for char in said)
    assert letters / len(said) > 0.95
    assert len(re.findall(r"\. [A-Z]", said)) > 300
    assert not re.search(r"^ |\n ", said)


def test_words_are_of_the_list_and_have_no_order() -> None:
    said = words(7)(60_000, 1).split()[:-1]
    assert set(said) == set(WORDS)
    assert said != words(7)(60_000, 2).split()[:-1]
    assert said != words(8)(60_000, 1).split()[:-1]


@pytest.mark.parametrize("tokens", [1, 2, 16, 511, 512, 20_000])
def test_a_text_is_the_beginning_of_its_longer_self(tokens: int) -> None:
    maker = TextMaker(7)
    assert maker.text(30_000, 5).startswith(maker.text(tokens, 5))
    assert len(maker.text(tokens, 5)) == round(tokens * text.CHARS_PER_TOKEN)


@pytest.mark.parametrize("too_long", ["clip", "skip"])
def test_lengths_are_kept_within_the_context(too_long: str) -> None:
    lengths: Lengths = Uniform(Tokens(10), Tokens(5000))
    prompts = opened(
        "synthetic",
        context=2000,
        prompt_tokens=lengths,
        output_tokens=Constant(Tokens(500)),
        too_long=too_long,
    )
    asked = [prompts.conversation(n, 0).turns[0].asked_prompt_tokens or 0 for n in range(300)]
    assert max(asked) == 1500
    assert min(asked) < 100


def test_too_long_for_the_context_is_a_users_error() -> None:
    with pytest.raises(
        ScenarioError, match=r"workload\.prompt_tokens: session \d+ has .*context of 2,000; lower"
    ):
        opened("code", context=2000, prompt_tokens=Uniform(Tokens(10), Tokens(5000)))
    opened("code", context=5000, prompt_tokens=Uniform(Tokens(10), Tokens(5000)))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            {"output_tokens": Constant(Tokens(5000))},
            r"workload\.output_tokens: session 0 has .* an answer of 5,000, .*; lower it, or give",
        ),
        (
            {"output_tokens": Uniform(Tokens(5000), Tokens(6000))},
            r"workload\.output_tokens: .*; lower its `max`, or",
        ),
        (
            {"prompt_tokens": Constant(Tokens(5000))},
            r'workload\.prompt_tokens: .*; lower it, write too_long = "clip", or',
        ),
    ],
    ids=["constant answer", "answer", "constant prompt"],
)
def test_the_key_that_asks_for_too_much_is_named(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        opened("synthetic", context=2000, **keys)


def test_only_a_context_that_shortens_prompts_is_in_the_digest() -> None:
    def digest(context: int | None) -> str:
        lengths = Uniform(Tokens(10), Tokens(5000))
        return opened("synthetic", context=context, prompt_tokens=lengths, too_long="clip").contents_digest

    assert digest(None) == digest(5000) == digest(64_000)
    assert len({digest(None), digest(4000), digest(3000)}) == 3


def test_prompts_of_the_scenario_come_in_turn() -> None:
    asked = Workload(source="prompts", prompts=("a", "b", "c"), turns=Constant(Tokens(2)), salt=False)
    prompts = open_prompts([asked], 7)
    said = [[t.messages[0]["content"] for t in prompts.conversation(n, 0).turns] for n in range(4)]
    assert said == [["a", "b"], ["b", "c"], ["c", "a"], ["a", "b"]]
    assert prompts.count is None


def test_prompts_of_the_scenario_may_stop() -> None:
    prompts = open_prompts([Workload(source="prompts", prompts=("a", "b"), on_end="stop", salt=False)], 7)
    assert prompts.count == 2
    with pytest.raises(IndexError):
        prompts.conversation(2, 0)


def test_tools_and_exact_output() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = (
        Tool(name="weather", description="Now.", parameters=schema, result="rain"),
        Tool(name="t", result=""),
    )
    keys: dict[str, Any] = {"tools": tools, "ignore_eos": True, "output_tokens": Constant(Tokens(9))}
    said = opened("prose", **keys).conversation(0, 0)
    assert said.exact_output
    assert said.results == {"weather": "rain", "t": ""}
    weather = {"name": "weather", "description": "Now.", "parameters": schema}
    assert said.tools[0] == {"type": "function", "function": weather}
    assert said.tools[1]["function"]["parameters"] == {"type": "object", "properties": {}}
