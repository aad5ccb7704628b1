"""Tools, exact lengths and the prefix cache, as the official SDK sees them."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageFunctionToolCall

from loadgen.simulator.messages import Offer
from loadgen.simulator.process import RunningSimulator, start
from loadgen.simulator.text import Corpus


def tool(name: str, **properties: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
    return {"type": "function", "function": {"name": name, "description": "A tool", "parameters": schema}}


TOOLS = [tool("weather", days="integer", city="string"), tool("clock")]
KEYS = {"weather": "city", "clock": "input"}
USER = {"role": "user", "content": "How is it in Bern?"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with start(seed=5) as running:
        yield running


@pytest.fixture
def client(simulator: RunningSimulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=simulator.base_url, api_key="any", max_retries=0) as made:
        yield made


def ask(client: openai.OpenAI, **body: Any) -> Any:
    asked = {"model": "m", "messages": [USER], "tools": TOOLS, "tool_choice": "required"} | body
    return client.chat.completions.create(**{k: v for k, v in asked.items() if v is not None})


@pytest.mark.parametrize("min_tokens", [None, 40])
def test_a_streamed_call_is_the_whole_answers_call(client: openai.OpenAI, min_tokens: int | None) -> None:
    more = {"extra_body": {"min_tokens": min_tokens}} if min_tokens else {}
    options = {"include_usage": True}
    role, first, *rest, end, usage = ask(client, stream=True, stream_options=options, **more)
    assert (role.choices[0].delta.role, role.choices[0].delta.content) == ("assistant", None)
    (opening,) = first.choices[0].delta.tool_calls
    assert (opening.index, opening.type, opening.function.arguments) == (0, "function", "")
    assert opening.id.startswith("call_")
    pieces = [chunk.choices[0].delta.tool_calls[0] for chunk in rest]
    assert {(p.index, p.id, p.function.name) for p in pieces} == {(0, None, None)}
    assert all(p.function.arguments for p in pieces)
    assert end.choices[0].finish_reason == "tool_calls"
    assert usage.usage.completion_tokens == 1 + len(pieces)
    assert usage.usage.completion_tokens >= (min_tokens or 3)

    whole = ask(client, **more)
    (choice,) = whole.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert whole.usage.completion_tokens == usage.usage.completion_tokens
    (call,) = choice.message.tool_calls
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    assert (call.id, call.function.name) == (opening.id, opening.function.name)
    assert call.function.arguments == "".join(p.function.arguments for p in pieces)
    ((key, value),) = json.loads(call.function.arguments).items()
    assert key == KEYS[call.function.name]
    assert isinstance(value, str)


@pytest.mark.parametrize("name", KEYS)
def test_a_named_tool_is_the_one_that_is_called(client: openai.OpenAI, name: str) -> None:
    for seed in range(4):
        choice = {"type": "function", "function": {"name": name}}
        answer = ask(client, tool_choice=choice, seed=seed)
        assert answer.choices[0].message.tool_calls[0].function.name == name


@pytest.mark.parametrize("cap", [1, 2, 4, 60])
def test_a_call_has_exactly_the_tokens_asked_for(client: openai.OpenAI, cap: int) -> None:
    answer = ask(client, max_tokens=cap, extra_body={"min_tokens": cap, "ignore_eos": True})
    assert answer.usage.completion_tokens == cap
    assert answer.choices[0].finish_reason == ("tool_calls" if cap >= 3 else "length")


def test_a_cap_cuts_a_call_off(client: openai.OpenAI) -> None:
    answer = ask(client, max_tokens=4, extra_body={"min_tokens": 4}, seed=3)
    whole = ask(client, seed=3)
    assert whole.usage.completion_tokens > 4
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 4)
    (cut,), (all_of_it,) = answer.choices[0].message.tool_calls, whole.choices[0].message.tool_calls
    assert all_of_it.function.arguments.startswith(cut.function.arguments)
    assert cut.function.arguments != all_of_it.function.arguments


CALL = {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "noon"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"messages": [USER, CALLED, RESULT]}, id="after the result"),
        pytest.param({"tool_choice": "none"}, id="none"),
        pytest.param({"tools": None, "tool_choice": None}, id="no tools"),
        pytest.param({"tools": [], "tool_choice": None}, id="no tool"),
    ],
)
def test_when_the_answer_is_a_text(client: openai.OpenAI, body: dict[str, Any]) -> None:
    answer = ask(client, max_tokens=5, **body)
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 5)
    assert answer.choices[0].message.content
    assert answer.choices[0].message.tool_calls is None


def test_a_model_free_to_choose_calls_every_other_time() -> None:
    corpus = Corpus(0)
    offer = Offer({"f": None, "g": None})
    calls = [corpus.plot("m", None, f"{i}", offer).call for i in range(1000)]
    names = [call.name for call in calls if call]
    assert len(names) == pytest.approx(500, abs=64)  # 4 sigma
    assert names.count("f") == pytest.approx(len(names) / 2, abs=48)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        pytest.param({"tools": None}, "tool_choice", id="choice of nothing"),
        pytest.param(
            {"tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice", id="unknown"
        ),
        pytest.param({"tool_choice": "perhaps"}, "tool_choice", id="no such choice"),
        pytest.param({"tools": [{"type": "function"}]}, "tools[0].function", id="no function"),
        pytest.param({"messages": [USER, RESULT]}, "messages[1].role", id="result of no call"),
        pytest.param({"messages": [USER, CALLED]}, "messages[2].role", id="call without a result"),
        pytest.param({"messages": [USER, CALLED, USER]}, "messages[2].role", id="result forgotten"),
        pytest.param(
            {"messages": [USER, CALLED, RESULT, RESULT]}, "messages[3].role", id="result given twice"
        ),
        pytest.param({"extra_body": {"min_tokens": 9}, "max_tokens": 8}, "min_tokens", id="min above max"),
    ],
)
def test_mistakes_with_tools(client: openai.OpenAI, body: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, **body)
    assert caught.value.param == param


# lengths of texts


def test_a_text_is_at_least_as_long_as_asked(client: openai.OpenAI) -> None:
    short = [{"role": "user", "content": "prompt 62"}]  # whose answer has 26 tokens
    body = {"messages": short, "tools": None, "tool_choice": None, "model": "gemini-3.5-flash"}
    free = ask(client, **body)
    assert (free.usage.completion_tokens, free.choices[0].finish_reason) == (26, "stop")
    for at_least, tokens in ((20, 26), (40, 40)):
        answer = ask(client, extra_body={"min_tokens": at_least, "ignore_eos": False}, **body)
        assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (tokens, "stop")


def test_a_text_that_must_not_end_fills_the_window(client: openai.OpenAI) -> None:
    # 47,980 of 48,000 tokens: 20 are left
    long = [{"role": "user", "content": "x" * 206_314}]
    body = {"messages": long, "tools": None, "tool_choice": None, "model": "gemini-3.5-flash"}
    answer = ask(client, extra_body={"ignore_eos": True}, **body)
    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (20, "length")


# the prefix cache


def test_a_prompt_that_begins_as_one_before_is_served_from_the_cache(client: openai.OpenAI) -> None:
    def cached(*texts: str, **more: Any) -> int:
        roles = ("user", "assistant") * len(texts)
        messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
        body = {"model": "c", "tools": None, "tool_choice": None, "max_tokens": 1} | more
        answer = ask(client, messages=messages, **body)
        return int(answer.usage.prompt_tokens_details.cached_tokens)

    prompt = "".join(f"{i} " for i in range(1000))  # 3,890 characters, 905 tokens
    assert cached(prompt) == 0
    assert cached(prompt) == 896
    assert cached(prompt, "an answer", "more") == 896
    assert cached(prompt[:2000] + "!" + prompt[2001:]) == 464
    assert cached("!" + prompt) == 0
    assert cached(prompt, model="d") == 0  # another engine
    assert cached(prompt, tools=TOOLS, tool_choice="none") == 0  # tools come before the messages


def test_the_stream_tells_what_was_cached(client: openai.OpenAI) -> None:
    body = {
        "model": "s",
        "messages": [{"role": "user", "content": "x" * 430}],
        "tools": None,
        "max_tokens": 2,
    }
    options = {"stream": True, "stream_options": {"include_usage": True}, "tool_choice": None}
    told = [list(ask(client, **body, **options))[-1].usage for _ in range(2)]
    assert [usage.prompt_tokens_details.cached_tokens for usage in told] == [0, 96]
