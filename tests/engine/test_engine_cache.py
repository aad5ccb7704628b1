"""The prefix cache: what it keeps, what it forgets first, and the prefill it saves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.cache import BLOCK_TOKENS, PrefixCache
from loadgen.engine.machine import Engine, Step
from tests.engine.test_engine_machine import params, steps

A, B, C = [1, 2, 3, 4], [11, 12], [21, 22, 23]


def cache(blocks: int) -> PrefixCache:
    return PrefixCache(blocks * BLOCK_TOKENS + BLOCK_TOKENS - 1)


def test_a_beginning_that_was_seen_is_found() -> None:
    kept = cache(10)
    kept.add(A)
    assert [kept.take(blocks) for blocks in (A, [1, 2, 9, 4], [9, 2], [], B)] == [4, 2, 0, 0, 0]


def test_the_least_recently_used_goes_first_and_ends_before_beginnings() -> None:
    kept = cache(7)
    kept.add(A)
    kept.add(B)
    assert kept.take(A[:2]) == 2  # so the end of A is the oldest now
    kept.add(C)
    assert (len(kept), kept.take(A), kept.take(B), kept.take(C)) == (7, 2, 2, 3)
    kept.add([31, 32, 33])
    assert (kept.take(A), kept.take(B), kept.take(C)) == (0, 1, 3)


def test_of_a_prompt_that_is_too_large_the_beginning_is_kept() -> None:
    kept = cache(3)
    kept.add(A)
    assert (len(kept), kept.take(A)) == (3, 3)


@pytest.mark.parametrize("tokens", [0, BLOCK_TOKENS - 1])
def test_a_cache_of_no_block_keeps_nothing(tokens: int) -> None:
    kept = PrefixCache(tokens)
    kept.add(A)
    assert (len(kept), kept.take(A)) == (0, 0)


@given(
    prompts=st.lists(st.lists(st.booleans(), max_size=8), max_size=30),
    capacity=st.integers(0, 12),
)
def test_what_was_added_last_is_there_and_never_too_much(prompts: list[list[bool]], capacity: int) -> None:
    kept = cache(capacity)
    for words in prompts:
        blocks = [hash(tuple(words[: i + 1])) for i in range(len(words))]
        before = kept.take(blocks)
        kept.add(blocks)
        assert before <= kept.take(blocks) == min(len(blocks), capacity)
        assert len(kept) <= capacity


# In the engine: 100 µs a prompt token, 9 ms a step with one sequence.


def test_a_known_beginning_is_not_computed_again() -> None:
    engine = Engine(params(prefix_cache_tokens=1000), 0)
    engine.submit(0, 70, 1, [1, 2, 3, 4])
    assert steps(engine) == [Step(7_000_000 + 9_000_000, (0,), (0,))]
    engine.submit(1, 70, 1, [1, 2, 3, 5])
    assert steps(engine) == [Step(2_200_000 + 9_000_000, (1,), (1,), ((1, 48),))]


def test_the_last_token_of_a_prompt_is_always_computed() -> None:
    engine = Engine(params(prefix_cache_tokens=1000), 0)
    for request_id in range(2):
        engine.submit(request_id, 32, 1, [1, 2])
    assert steps(engine)[0].cached == ()  # the first was not through its prefill yet
    engine.submit(2, 32, 1, [1, 2])
    assert steps(engine) == [Step(1_600_000 + 9_000_000, (2,), (2,), ((2, 16),))]


def test_a_prompt_is_known_when_its_last_chunk_is_computed() -> None:
    engine = Engine(params(prefix_cache_tokens=1000, prefill_chunk_tokens=40), 0)
    engine.submit(0, 64, 1, [1, 2, 3, 4])
    engine.step()
    engine.submit(1, 64, 1, [1, 2, 3, 4])
    step = engine.step()
    assert step is not None
    assert (step.tokens, step.cached) == ((0,), ())
    assert steps(engine)[-1].tokens == (1,)
    engine.submit(2, 64, 1, [1, 2, 3, 4])
    assert [step.cached for step in steps(engine)] == [((2, 48),)]


def test_what_was_cancelled_before_its_prefill_is_not_known() -> None:
    engine = Engine(params(prefix_cache_tokens=1000), 0)
    engine.submit(0, 64, 1, [1, 2, 3, 4])
    engine.cancel(0)
    engine.submit(1, 64, 1, [1, 2, 3, 4])
    assert [step.cached for step in steps(engine)] == [()]


def test_without_a_cache_everything_is_computed() -> None:
    engine = Engine(params(), 0)
    for request_id in range(2):
        engine.submit(request_id, 64, 1, [1, 2, 3, 4])
        assert steps(engine) == [Step(6_400_000 + 9_000_000, (request_id,), (request_id,))]
