"""What reports say of levels, tasks and turns, and of what was asked for."""

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from loadgen.report.compare import legend, sentence
from loadgen.report.grids import groups, levels
from loadgen.report.markdown import to_markdown
from loadgen.report.said import sentences
from loadgen.report.table import print_report
from loadgen.results.model import (
    Above,
    Comparison,
    Dist,
    GroupReport,
    Report,
    Sessions,
    TargetReport,
    Tokens,
    WithFailures,
)


def show(report: Report, width: int = 80) -> str:
    out = io.StringIO()
    print_report(report, Console(file=out, width=width))
    return out.getvalue()


def folded(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def group(invent: Any, by: str, name: str, ok: int) -> GroupReport:
    metrics = {key: invent.dist(middle, ok) for key, middle in (("ttft_ms", 90), ("e2e_ms", 800))}
    return GroupReport(by, name, ok + 2, ok, 2, metrics | {"tpot_ms": invent.dist(9, ok)})


def at_levels(invent: Any, targets: tuple[str, ...] = ("ours",), **run: Any) -> Report:
    made = [
        invent.target(f"{t} @ {n}", 100 * n, target=t, level=str(n), model="m")
        for t in targets
        for n in (8, 16)
    ]
    report: Report = invent.report(*made, **run)
    return report


def test_levels_stand_below_each_other(invent: Any) -> None:
    text = folded(show(at_levels(invent)))
    assert "level done TTFT TPOT" in text
    assert "times in ms req/s tokens/s p50 p99 p50 failed" in text
    assert "8 40.0 2,400 200 800 14.0 0" in text
    assert "16 80.0 4,800 200 800 14.0 0" in text
    assert not any(line.startswith("requests ok") for line in text)


def whole(target: TargetReport) -> TargetReport:
    """The target as one whose answers come whole and have no tokens, as embeddings do."""
    none = ("ttft_ms", "ttft_from_plan_ms", "tpot_ms", "output_tokens_per_s", "chunk_gap_ms")
    return msgspec.structs.replace(
        target,
        metrics=target.metrics | dict.fromkeys(none, Dist(count=0)),
        rates=msgspec.structs.replace(target.rates, output_tokens_per_s=0.0),
    )


def test_what_answers_do_not_have_has_no_column_and_no_line(invent: Any) -> None:
    embeddings = group(invent, "task", "embed", 50)
    timeless = embeddings.metrics | dict.fromkeys(("ttft_ms", "tpot_ms"), Dist(count=0))
    tasks = (msgspec.structs.replace(embeddings, metrics=timeless),)
    one = msgspec.structs.replace(whole(invent.target()), groups=tasks)
    assert groups(invent.report(one)).heads == ("task or turn", "requests", "failed", "e2e p50", "p99")
    report = at_levels(invent)
    bare = msgspec.structs.replace(report, targets=tuple(map(whole, report.targets)))
    assert levels(bare).heads == ("level", "done req/s", "failed")
    for text in (show(invent.report(one)), to_markdown(invent.report(one))):
        starts = [line.strip(" |") for line in text.splitlines()]
        assert any(line.startswith("end to end") for line in starts)
        assert not any(line.startswith(("TTFT ", "output tokens/s")) for line in starts)


def test_levels_of_several_targets_are_named_and_open_loops_show_what_was_offered(invent: Any) -> None:
    report = at_levels(invent, ("a", "b"), open_loop=True)
    dropped = msgspec.structs.replace(report.targets[3], requests=invent.requests(1600, dropped=7))
    report = msgspec.structs.replace(report, targets=(*report.targets[:3], dropped))
    grid = levels(report)
    assert grid.heads[1:3] == ("offered req/s", "done req/s")
    assert [(row[0], row[-1]) for row in grid.rows] == [
        ("a @ 8", "0"),
        ("a @ 16", "0"),
        ("b @ 8", "0"),
        ("b @ 16", "7"),
    ]
    assert max(map(len, show(report).splitlines())) <= 80
    assert "| b @ 16 | 80.0 | 80.0 |" in to_markdown(report)


def test_levels_show_what_was_cut_off_and_what_is_not_bounded(invent: Any) -> None:
    report = at_levels(invent)
    few = invent.dist(200, 40)
    cut = msgspec.structs.replace(
        report.targets[1],
        requests=invent.requests(40, cancelled=3),
        metrics=report.targets[1].metrics | {"ttft_ms": msgspec.structs.replace(few, ci95={})},
    )
    assert "cut off" not in levels(report).heads
    grid = levels(msgspec.structs.replace(report, targets=(report.targets[0], cut)))
    of = [dict(zip(grid.heads, row, strict=True)) for row in grid.rows]
    assert [row["cut off"] for row in of] == ["0", "3"]
    assert "*" not in of[0]["TTFT p50"] + of[0]["p99"]
    assert (of[1]["TTFT p50"], of[1]["p99"]) == (f"{few.p50:.0f} *", f"{few.p99:.0f} *")


def test_what_is_true_of_a_target_is_not_repeated_for_its_levels(invent: Any) -> None:
    report = at_levels(invent, ("a", "b"), simulated=True)
    by_events = Tokens(0, 0, 0, 9, "events", {"events": 9})
    made = [msgspec.structs.replace(t, tokens=by_events, simulated=True) for t in report.targets[:2]]
    text = to_markdown(msgspec.structs.replace(report, targets=(*made, *report.targets[2:])))
    assert "**SIMULATED** a: the built-in simulator" in text
    assert text.count("a: the server reports no usage") == 1
    assert len([line for line in text.splitlines() if "https://llm.example.com/v1" in line]) == 2


def test_no_levels_no_table(invent: Any) -> None:
    assert levels(invent.report(invent.target())).rows == ()
    assert groups(invent.report(invent.target())).rows == ()
    assert "Tasks and turns" not in to_markdown(invent.report(invent.target()))


def test_tasks_and_turns(invent: Any) -> None:
    found = (group(invent, "task", "chat|x", 70), group(invent, "turn", "later", 50))
    target = invent.target(groups=found, sessions=Sessions(20, 17, 2))
    report = invent.report(target)
    text = folded(show(report))
    assert "chat|x 72 2 90.0 360 9.00 800 3,200" in text
    assert "later turns 52 2 90.0 360 9.00 800 3,200" in text
    for line in ("conversations begun 20", "conversations ended 17", "conversations failed 2"):
        assert line in text
    assert "| chat\\|x | 72 | 2 | 90.0 | 360 | 9.00 | 800 | 3,200 |" in to_markdown(report)
    two = groups(invent.report(target, invent.target("b", groups=found[:1])))
    assert [row[0] for row in two.rows] == ["gpt-5.5: chat|x", "gpt-5.5: later turns", "b: chat|x"]


def test_many_groups_are_for_the_markdown(invent: Any) -> None:
    many = tuple(group(invent, "task", f"task{i}", 5) for i in range(30))
    report = invent.report(invent.target(groups=many))
    assert "30 tasks and turns: see report.md" in show(report)
    assert "| task29 |" in to_markdown(report)


def test_an_open_loop_shows_offered_delivered_and_achieved(invent: Any) -> None:
    target = invent.target()
    rates = msgspec.structs.replace(target.rates, offered_requests_per_s=55.0, delivered_requests_per_s=52.0)
    target = msgspec.structs.replace(target, rates=rates)
    text = folded(show(invent.report(target, open_loop=True)))
    at = text.index("offered requests/s 55.0")
    assert text[at : at + 3] == [
        "offered requests/s 55.0",
        "delivered requests/s 52.0",
        "achieved requests/s 50.0",
    ]
    assert "delivered" not in show(invent.report(target))


def test_dropped_arrivals_show_in_the_times_from_plan(invent: Any) -> None:
    target = invent.target()
    found = WithFailures(1300, 210.0, Above(1200.0), Above(1200.0))
    from_plan = msgspec.structs.replace(target.metrics["ttft_from_plan_ms"], with_failures=found)
    target = msgspec.structs.replace(target, metrics=target.metrics | {"ttft_from_plan_ms": from_plan})
    shown = "with failures 210 > 1,200 > 1,200"
    dropped = msgspec.structs.replace(target, requests=invent.requests(1000, dropped=300))
    text = folded(show(invent.report(dropped), 100))
    at = text.index(shown)
    assert text[at - 1].startswith("TTFT from plan")
    assert "never sent 300" in text


@pytest.mark.parametrize("key", ["ttft_ms", "ttft_from_plan_ms", "e2e_ms"])
@pytest.mark.parametrize("outcome", ["timeout", "cancelled"])
def test_wherever_some_failed_their_place_is_shown(invent: Any, key: str, outcome: str) -> None:
    """Also where the two read the same, as the few that were cut off had not waited long."""
    target = invent.target(requests=invent.requests(1000, {outcome: 9}))
    of = target.metrics[key]
    found = WithFailures(1009, of.p50, of.p90, of.p99)
    failed = msgspec.structs.replace(
        target, metrics=target.metrics | {key: msgspec.structs.replace(of, with_failures=found)}
    )
    for text in (show(invent.report(failed)), to_markdown(invent.report(failed))):
        shown = [line for line in text.splitlines() if "with failures" in line]
        assert len(shown) == 1
    side_by_side = show(invent.report(failed, target))
    rows = [line.split() for line in side_by_side.splitlines()]
    at = next(i for i, row in enumerate(rows) if row[:2] == ["with", "failures"])
    percentiles = ["p99"] if key == "ttft_from_plan_ms" else ["p50", "p90", "p99"]  # as the line above
    assert [rows[at][2], *(row[0] for row in rows[at + 1 : at + len(percentiles)])] == percentiles
    assert "with failures" not in show(invent.report(target)).lower()


def lengths(invent: Any, *, asked: float, got: float, share: float, known: int = 1000) -> dict[str, Any]:
    return {
        "asked_prompt_tokens": invent.dist(asked, known),
        "prompt_tokens": invent.dist(got),
        "prompt_tokens_of_asked": invent.dist(share, known),
    }


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ({"asked": 2000, "got": 2013, "share": 1.006}, "asked 2,000, got 2,013 (medians), 0.6 % more"),
        ({"asked": 200, "got": 190, "share": 0.95}, "asked 200, got 190 (medians), 5.0 % fewer"),
        ({"asked": 200, "got": 200, "share": 1.0}, "asked 200, got 200 (medians), as asked"),
    ],
    ids=["more", "fewer", "as asked"],
)
def test_asked_against_got(invent: Any, figures: dict[str, Any], told: str) -> None:
    target = invent.target()
    one = msgspec.structs.replace(target, metrics=target.metrics | lengths(invent, **figures))
    assert sentences(invent.report(one))[0] == f"prompt tokens: {told}"
    other = msgspec.structs.replace(target, name="b")
    assert sentences(invent.report(one, other))[0] == f"gpt-5.5: prompt tokens: {told}"


def test_medians_of_different_requests_are_not_set_beside_each_other(invent: Any) -> None:
    figures = lengths(invent, asked=2000, got=300, share=1.01, known=50)
    target = invent.target(metrics=invent.target().metrics | figures)
    told = "prompt tokens against those asked for: 1.0 % more (median)"
    assert sentences(invent.report(target))[0] == told


HALF = "prompt cache: 50.0 % of the prompt tokens came from it"


@pytest.mark.parametrize(
    ("cached", "told", "requests", "said"),
    [
        (0, 0, 0, "prompt cache: not known, the server does not tell what it had cached"),
        (0, 5000, 1000, "prompt cache: 0.0 % of the prompt tokens came from it"),
        (600, 5000, 1000, "prompt cache: 12.0 % of the prompt tokens came from it"),
        (
            50,
            100,
            20,
            "prompt cache: 50.0 % of the prompt tokens came from it (told of 20 requests of 1,000)",
        ),
    ],
    ids=["unknown", "none", "some", "told of some"],
)
def test_what_the_cache_served(invent: Any, cached: int, told: int, requests: int, said: str) -> None:
    tokens = Tokens(5000, cached, 0, 10, "usage", {"usage": 1000}, told, requests)
    report = invent.report(invent.target(tokens=tokens))
    assert sentences(report) == [said]
    assert said in to_markdown(report)
    assert said in " ".join(show(report).split())


def test_a_cache_that_is_not_told_of_may_know_the_prompts_of_an_earlier_run(invent: Any) -> None:
    tokens = Tokens(5000, 0, 0, 10, "usage", {"usage": 1000}, 0, 0)
    (said,) = sentences(invent.report(invent.target(tokens=tokens), repeats_prompts=True))
    assert said.endswith("does not tell what it had cached; a run with this salt before will have filled it")


def test_the_cache_of_all_levels_is_one(invent: Any) -> None:
    report = at_levels(invent)
    tokens = [
        Tokens(100, n, 0, 1, "usage", {}, 100, t.requests.ok)
        for n, t in zip((10, 30), report.targets, strict=True)
    ]
    made = [msgspec.structs.replace(t, tokens=n) for t, n in zip(report.targets, tokens, strict=True)]
    assert sentences(msgspec.structs.replace(report, targets=tuple(made))) == [
        "prompt cache: 20.0 % of the prompt tokens came from it"
    ]


@pytest.mark.parametrize(
    ("failed", "output", "share"),
    [
        ({"timeout": 25}, 440, "77.3 %"),
        ({"cancelled": 1}, 110, "9.1 %"),
        ({"timeout": 25}, 100, None),
        ({"http_error": 25}, 0, None),
        ({}, 101, None),  # the mean is that of a histogram
    ],
    ids=["failed", "cut off", "before any token", "no tokens at all", "none failed"],
)
def test_tokens_of_requests_that_failed_are_told(
    invent: Any, failed: dict[str, int], output: int, share: str | None
) -> None:
    figures = {"output_tokens": invent.dist(20, 5, mean=20.0)} if output else {}
    target = invent.target(
        metrics=invent.target(ok=5).metrics | figures,
        requests=invent.requests(5, failed),
        tokens=Tokens(100, 0, 0, output, "usage", {"usage": 5}),
    )
    report = invent.report(target)
    told = f"output tokens/s counts all that arrived: {share} are of requests that failed or were cut off"
    for text in (to_markdown(report), " ".join(show(report).split())):
        assert (told in text) == (share is not None)
        assert ("output tokens/s counts" in text) == (share is not None)
    two = show(invent.report(target, invent.target("b")), 200)
    assert ("gpt-5.5: output tokens/s counts" in two) == (share is not None)


def test_arrivals_prompts_and_the_end(invent: Any) -> None:
    report = invent.report(
        invent.target("x", 0), open_loop=True, stopped_by="prompts", set_aside={"skipped": 3, "clipped": 0}
    )
    held = msgspec.structs.replace(report.run, load={"rate": "50/s", "max_in_flight": 9})
    drops = msgspec.structs.replace(held, load=held.load | {"over_cap": "drop"})
    arrivals: dict[str, Any] = {"planned": 2000, "sent": 1900, "dropped": 100, "delayed": 200}
    arrivals |= {"rate_planned_per_s": 50.0, "rate_delivered_per_s": 47.5}
    arrivals |= {"planned_gap_cv": 1.004, "delivered_gap_cv": 1.02}
    instrument = msgspec.structs.replace(report.instrument, arrivals=arrivals)
    rest = "; 50.0/s planned (drawn at random for 50/s), 47.5/s delivered"
    rest += "; variation of gaps 1.00 planned, 1.02 delivered"
    ramped = msgspec.structs.replace(held, load=held.load | {"ramp": "2s"})
    said = sentences(msgspec.structs.replace(report, instrument=instrument, run=ramped))[0]
    assert "planned (drawn at random for 50/s, which the ramp comes to only at its end)" in said
    even = msgspec.structs.replace(ramped, load=ramped.load | {"arrivals": "constant"})
    said = sentences(msgspec.structs.replace(report, instrument=instrument, run=even))[0]
    assert "planned (50/s, which the ramp comes to only at its end)" in said
    told = "arrivals of the whole run: 2,000 planned, 1,900 delivered"
    told += " (200 of them late, held back by max_in_flight)"
    assert sentences(msgspec.structs.replace(report, instrument=instrument, run=held))[0] == (
        f"{told}, 100 never sent: still held back at the end{rest}"
    )
    assert sentences(msgspec.structs.replace(report, instrument=instrument, run=drops)) == [
        f"{told}, 100 dropped by max_in_flight{rest}",
        "prompts set aside: 3 skipped (too long for the context)",
        "the prompts were used up before the window's end: a window of 20.0 s",
    ]
    levels = [
        msgspec.structs.replace(invent.target(f"x @ {n}/s"), target="x", level=f"{n}/s") for n in (5, 10)
    ]
    several = msgspec.structs.replace(invent.report(*levels, open_loop=True), instrument=instrument)
    assert not any("50.0/s" in sentence for sentence in sentences(several))  # levels have no common rate
    assert len(sentences(invent.report(invent.target("x", 0), stopped_by="until"))) == 1
    assert "STOPPED" in show(invent.report(invent.target(), stopped_by="errors"))


def test_a_side_without_a_figure_is_said_to_have_none() -> None:
    row = Comparison("ttft_ms", "p50", "good", "bad", 129.0, None, "not bounded")
    assert sentence([row]) == "nothing to compare: bad without TTFT, good has p50 129 ms."
    neither = Comparison("ttft_ms", "p50", "good", "bad", None, None, "not bounded")
    assert sentence([neither]) == "nothing to compare: good and bad without TTFT."


@pytest.mark.parametrize("family", [0, 1, 2])
def test_only_several_verdicts_hold_together(family: int) -> None:
    row = Comparison("ttft_ms", "p50", "a", "b", 1.0, 2.0, "worse", p_value=0.01)
    told = legend([row] * family)
    assert ("of them together (Holm)" in told) == (family > 1)
    assert "holds at 95 %" in told
