"""What is said, from a scenario to what the endpoint was asked: conversations, mixtures, shared prefixes."""

import json
import math
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint import END, HEAD, Asked, Endpoint, content, event, finish, refusal, stream, usage
from tests.loads import Done, run
from tests.program import target

ASK = {"source": "prompts", "prompts": [f"Name {n} rivers." for n in range(9)], "output_tokens": 8}


async def say(*words: str) -> AsyncIterator[bytes]:
    yield HEAD + b"\r\n" + content("")
    for word in words:
        yield content(word)
    yield finish() + usage(7, len(words)) + END


async def call(name: str, arguments: str) -> AsyncIterator[bytes]:
    """A tool call as OpenAI streams it: id and name first, then arguments in pieces."""
    yield HEAD + b"\r\n" + content("")
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
    half = len(arguments) // 2
    pieces = [{"index": 0, "function": {"arguments": part}} for part in (arguments[:half], arguments[half:])]
    for piece in (first, *pieces):
        yield event(
            {"id": "r", "choices": [{"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": None}]}
        )
    yield finish("tool_calls") + usage(7, 5) + END


def talks(asked: list[Asked]) -> dict[str, list[list[dict[str, Any]]]]:
    """The messages of each request, by the first user message of its conversation."""
    found: dict[str, list[list[dict[str, Any]]]] = {}
    for a in asked:
        messages = a.body["messages"]
        first = next(m["content"] for m in messages if m["role"] == "user")
        found.setdefault(first, []).append(messages)
    return found


def talk(
    tmp_path: Path, endpoint: Endpoint, workload: dict[str, Any], load: dict[str, Any], **keys: Any
) -> Done:
    t = target("a", endpoint.base_url, **keys)
    return run(tmp_path, {"targets": [t], "workload": ASK | workload, "load": load})


def test_a_turn_quotes_the_answers_before_it(tmp_path: Path) -> None:
    with Endpoint(lambda a: say("answer ", f"{a.number}")) as endpoint:
        done = talk(tmp_path, endpoint, {"turns": 3}, {"concurrency": 4, "requests": 12})
        asked = endpoint.asked
    answers = {json.dumps(a.body["messages"]): f"answer {a.number}" for a in asked}
    conversations = talks(asked)
    assert len(conversations) == 12
    for turns in conversations.values():
        assert [len(messages) for messages in turns] == [1, 3, 5]
        for before, after in pairwise(turns):
            assert after[: len(before)] == before  # so that the server's prefix cache can serve it
            assert after[len(before)] == {"role": "assistant", "content": answers[json.dumps(before)]}
            assert after[-1]["role"] == "user"
    (t,) = done.report["targets"]
    assert t["sessions"] == {"begun": 12, "ended": 12, "failed": 0}
    groups = {g["name"]: g["requests"] for g in t["groups"] if g["by"] == "turn"}
    assert groups == {"first": 12, "later": 24}


def test_a_failed_turn_ends_its_conversation(tmp_path: Path) -> None:
    def answer(asked: Asked) -> AsyncIterator[bytes]:
        second, first = len(asked.body["messages"]) == 3, asked.body["messages"][0]["content"]
        return refusal(500, "out of memory") if second and "Name 0 rivers." in first else stream()

    with Endpoint(answer) as endpoint:
        done = talk(tmp_path, endpoint, {"turns": 3}, {"concurrency": 2, "requests": 18})
    turns = Counter(len(s) for s in done.sessions("a").values())
    assert turns == {3: 16, 2: 2}
    failed = [s for s in done.samples if s["outcome"] != "ok"]
    assert [(s["turn"], s["last_turn"], s["session"] % 9) for s in failed] == [(1, True, 0)] * 2
    (t,) = done.report["targets"]
    assert t["sessions"] == {"begun": 18, "ended": 16, "failed": 2}


def test_recorded_answers_are_quoted(tmp_path: Path) -> None:
    lines = [
        {"session_id": s, "messages": [{"role": "user", "content": f"{s}{i}"}], "answer": f"old {s}{i}"}
        for i in range(2)
        for s in ("x", "y")
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    workload = {"source": "jsonl", "file": "p.jsonl", "history": "recorded", "salt": False}
    with Endpoint(lambda _: say("new")) as endpoint:
        t = target("a", endpoint.base_url)
        run(tmp_path, {"targets": [t], "workload": workload, "load": {"concurrency": 1, "requests": 2}})
        said = [[m["content"] for m in a.body["messages"]] for a in endpoint.asked]
    assert said == [["x0"], ["x0", "old x0", "x1"], ["y0"], ["y0", "old y0", "y1"]]


def test_tools_are_offered_and_their_results_told(tmp_path: Path) -> None:
    tools = [{"name": "weather", "description": "the weather", "result": "rain"}]

    def answer(asked: Asked) -> AsyncIterator[bytes]:
        last = asked.body["messages"][-1]["role"]
        return call("weather", '{"town": "Oslo"}') if last == "user" else say("Take a coat.")

    with Endpoint(answer) as endpoint:
        done = talk(tmp_path, endpoint, {"tools": tools}, {"concurrency": 2, "requests": 4})
        asked = endpoint.asked
    assert len(asked) == 8
    assert all([t["function"]["name"] for t in a.body["tools"]] == ["weather"] for a in asked)
    after = [a.body["messages"] for a in asked if a.body["messages"][-1]["role"] == "tool"]
    assert len(after) == 4
    for _, said, result in after:
        (made,) = said["tool_calls"]
        assert made["function"] == {"name": "weather", "arguments": '{"town": "Oslo"}'}
        assert result == {"role": "tool", "tool_call_id": made["id"], "content": "rain"}
    assert Counter(s["turn"] for s in done.samples) == {0: 4, 1: 4}


@pytest.mark.parametrize("where", ["header", "field"])
def test_a_server_is_told_which_conversation_it_is(tmp_path: Path, where: str) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        load = {"concurrency": 2, "requests": 4}
        talk(tmp_path, endpoint, {"turns": 2}, load, session={where: "x-session"})
        seen: dict[str, set[str]] = {}
        for a in endpoint.asked:
            told = a.headers["x-session"] if where == "header" else a.body["x-session"]
            seen.setdefault(str(a.body["messages"][0]), set()).add(told)
    assert len(seen) == 4
    assert all(len(told) == 1 for told in seen.values())
    assert len(set.union(*seen.values())) == 4


def test_a_mixture_by_weight(tmp_path: Path) -> None:
    """Shares within what chance allows (false alarm below 10^-8), the same words for both targets."""
    mixture = [
        ASK | {"task": "long", "weight": 1, "output_tokens": 64},
        ASK | {"task": "short", "weight": 3, "prompts": ["Say yes."], "output_tokens": 2},
    ]
    with Endpoint(lambda _: stream()) as endpoint:
        targets = [target(name, endpoint.base_url) for name in ("a", "b")]
        load = {"concurrency": 8, "requests": 400}
        done = run(tmp_path, {"targets": targets, "workload": mixture, "load": load})
        asked = Counter(a.body.get("max_tokens", a.body.get("max_completion_tokens")) for a in endpoint.asked)
    tasks = Counter(s["task"] for s in done.of("a"))
    assert sum(tasks.values()) == 400
    assert abs(tasks["long"] - 100) <= 6 * math.sqrt(400 * 0.25 * 0.75)
    assert asked == {64: 2 * tasks["long"], 2: 2 * tasks["short"]}
    of_session = [{s["session"]: s["task"] for s in done.of(name)} for name in ("a", "b")]
    assert of_session[0] == of_session[1]
    for t in done.report["targets"]:
        groups = {g["name"]: g["ok"] for g in t["groups"] if g["by"] == "task"}
        assert groups == dict(tasks)


def test_shared_prefixes(tmp_path: Path) -> None:
    pool = {"prefixes": 3, "tokens": 200}
    with Endpoint(lambda _: stream()) as endpoint:
        talk(tmp_path, endpoint, {"shared_prefix": pool}, {"concurrency": 4, "requests": 60})
        messages = [a.body["messages"] for a in endpoint.asked]
    assert {tuple(m["role"] for m in said) for said in messages} == {("system", "user")}
    systems = Counter(said[0]["content"] for said in messages)
    assert len(systems) == 3
    # a share of 1/3 each, false alarm below 10^-8
    assert all(abs(n - 20) <= 6 * math.sqrt(60 * 2 / 9) for n in systems.values())
    assert len({text[:40] for text in systems}) == 3


def test_the_simulator_serves_a_shared_prefix_from_its_cache(tmp_path: Path) -> None:
    workload = ASK | {"shared_prefix": {"prefixes": 2, "tokens": 2000}, "output_tokens": 2}
    load = {"one_at_a_time": True, "requests": 5}
    done = run(tmp_path, {"targets": [target("m")], "workload": workload, "load": load})
    cached = [s["cached_tokens"] or 0 for s in done.samples]
    assert sum(not c for c in cached) == 2  # the first with each prefix: the cache is cold when a run begins
    assert all(1500 < c < s["prompt_tokens"] for c, s in zip(cached, done.samples, strict=True) if c)
    (t,) = done.report["targets"]
    assert t["tokens"]["cached"] == sum(cached)


def test_no_prompt_is_served_from_the_cache_otherwise(tmp_path: Path) -> None:
    workload = ASK | {"source": "prose", "prompt_tokens": 500, "output_tokens": 2}
    del workload["prompts"]
    load = {"one_at_a_time": True, "requests": 5}
    done = run(tmp_path, {"targets": [target("m")], "workload": workload, "load": load})
    assert all(not s["cached_tokens"] for s in done.samples)
