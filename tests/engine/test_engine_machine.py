"""The arithmetic of the step machine, exactly, and its invariants under any use."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.engine.machine import Engine, Step
from loadgen.engine.params import EngineParams


def params(**changes: float) -> EngineParams:
    values: dict[str, float] = {
        "overhead_ns": 50_000_000,
        "prefill_tokens_per_s": 10_000,  # 100 µs a token
        "prefill_chunk_tokens": 1000,
        "decode_step_base_ns": 8_000_000,
        "decode_step_per_sequence_ns": 1_000_000,
        "max_batch": 4,
        "max_context_tokens": 10_000,
    }
    return EngineParams(**(values | changes))  # type: ignore[arg-type]


def steps(engine: Engine) -> list[Step]:
    """Run until idle."""
    return list(iter(engine.step, None))


def test_nothing_to_do_is_no_step() -> None:
    assert Engine(params(), 0).step() is None


@pytest.mark.parametrize(
    ("prompt", "chunks_ns"),
    [
        pytest.param(1, [100_000], id="one-token"),
        pytest.param(1000, [100_000_000], id="one-chunk"),
        pytest.param(1001, [100_000_000, 100_000], id="one-over"),
        pytest.param(2500, [100_000_000, 100_000_000, 50_000_000], id="three-chunks"),
    ],
)
def test_a_single_request(prompt: int, chunks_ns: list[int]) -> None:
    engine = Engine(params(), 0)
    assert engine.draw_overhead_ns() == 50_000_000
    engine.submit(7, prompt, 3)
    expected = [Step(ns + 8_000_000, (), ()) for ns in chunks_ns[:-1]]
    expected.append(Step(chunks_ns[-1] + 9_000_000, (7,), ()))  # the pass that ends the prompt
    expected += [Step(9_000_000, (7,), ()), Step(9_000_000, (7,), (7,))]
    assert steps(engine) == expected


def test_a_full_batch_and_its_queue() -> None:
    engine = Engine(params(), 0)
    for request_id in range(6):
        engine.submit(request_id, 10, 2)
    first = engine.step()
    assert first == Step(4 * 1_000_000 + 12_000_000, (0, 1, 2, 3), ())
    assert (engine.running, engine.waiting) == (4, 2)
    assert steps(engine) == [
        Step(12_000_000, (0, 1, 2, 3), (0, 1, 2, 3)),
        Step(2 * 1_000_000 + 10_000_000, (4, 5), ()),
        Step(10_000_000, (4, 5), (4, 5)),
    ]


def test_prefill_slows_the_others_but_does_not_stop_them() -> None:
    engine = Engine(params(), 0)
    engine.submit(0, 1, 9)
    engine.step()
    engine.submit(1, 1500, 1)
    engine.submit(2, 100, 1)
    assert engine.step() == Step(100_000_000 + 9_000_000, (0,), ())  # 1000 tokens of request 1
    assert engine.step() == Step(60_000_000 + 11_000_000, (0, 1, 2), (1, 2))  # 500 of it and all of 2


@pytest.mark.parametrize("in_batch", [True, False], ids=["running", "waiting"])
def test_cancel_frees_the_place(in_batch: bool) -> None:
    engine = Engine(params(max_batch=1), 0)
    engine.submit(0, 1, 5)
    engine.submit(1, 1, 5)
    engine.submit(2, 1, 5)
    engine.step()
    assert engine.cancel(0 if in_batch else 1)
    if not in_batch:
        assert [step.tokens for step in steps(engine)] == [(0,)] * 4 + [(2,)] * 5
    else:
        assert [step.tokens for step in steps(engine)] == [(1,)] * 5 + [(2,)] * 5
    assert not engine.cancel(0)
    engine.submit(0, 1, 1)  # its name is free again


@pytest.mark.parametrize(
    ("prompt", "output", "message"),
    [
        pytest.param(0, 1, "at least one", id="no-prompt"),
        pytest.param(1, 0, "at least one", id="no-output"),
        pytest.param(9_000, 1_001, "context window of 10000", id="too-long"),
    ],
)
def test_what_submit_refuses(prompt: int, output: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Engine(params(), 0).submit(0, prompt, output)


def test_an_id_is_used_once_at_a_time() -> None:
    engine = Engine(params(), 0)
    engine.submit(0, 9_000, 1_000)
    with pytest.raises(ValueError, match="already here"):
        engine.submit(0, 1, 1)


def _durations(seed: int, spread: float, overheads: int = 0) -> list[int]:
    engine = Engine(params(spread=spread), seed)
    engine.submit(0, 1, 4000)
    durations = []
    while step := engine.step():
        durations.append(step.duration_ns)
        for _ in range(overheads):
            engine.draw_overhead_ns()
    return durations


def test_spread_is_seeded_and_has_mean_one() -> None:
    durations = _durations(1, 0.2)
    assert durations == _durations(1, 0.2, overheads=3)
    assert durations != _durations(2, 0.2)
    assert sum(durations) / sum(_durations(1, 0)) == pytest.approx(1, abs=0.01)  # 3 sigma of 4000 draws


@settings(max_examples=150)
@given(
    batch=st.integers(1, 5),
    chunk=st.integers(1, 60),
    script=st.lists(
        st.one_of(
            st.tuples(st.integers(1, 100), st.integers(1, 12)),  # submit
            st.integers(0, 30),  # cancel
            st.none(),  # step
        ),
        max_size=60,
    ),
)
def test_every_token_once_in_order_and_the_batch_never_over(
    batch: int, chunk: int, script: list[tuple[int, int] | int | None]
) -> None:
    engine = Engine(params(max_batch=batch, prefill_chunk_tokens=chunk), 3)
    asked: dict[int, int] = {}
    got: Counter[int] = Counter()
    first: list[int] = []
    ended: set[int] = set()
    cancelled: set[int] = set()

    def take(step: Step | None) -> None:
        if step is None:
            assert engine.running == engine.waiting == 0
            return
        assert step.duration_ns > 0
        assert len(step.tokens) <= batch
        assert engine.running <= batch
        assert set(step.finished) <= set(step.tokens)
        assert len(set(step.tokens)) == len(step.tokens)
        assert not (ended | cancelled) & set(step.tokens)
        first.extend(r for r in step.tokens if not got[r])
        got.update(step.tokens)
        for request_id in step.finished:
            assert got[request_id] == asked[request_id]
            ended.add(request_id)

    for action in script:
        if action is None:
            take(engine.step())
        elif isinstance(action, int):
            if engine.cancel(action):
                assert action in asked.keys() - ended
                cancelled.add(action)
        else:
            request_id = len(asked)
            asked[request_id] = action[1]
            engine.submit(request_id, *action)
    while step := engine.step():
        take(step)
    assert ended == asked.keys() - cancelled
    assert first == sorted(first)  # prefill is first come, first served
