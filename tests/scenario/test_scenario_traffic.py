"""`[load]`: the ways to load, what goes with each, and what does not."""

from pathlib import Path

import pytest

from loadgen.measure.metrics import METRICS
from loadgen.scenario.load import load
from loadgen.scenario.rules_load import UNTIL_METRICS
from loadgen.scenario.traffic import Mode
from tests.scenario.written import LOAD, cases, lines_of, scenario

LOADS = [
    ('[load]\nduration = "5s"\nburstiness = 0.5', "load.burstiness: says nothing with concurrency"),
    ('[load]\nduration = "5s"\nburst = 5', "load.burst: 5 is not a table; write { size = 100 }"),
    (
        '[load]\nduration = "5s"\none_at_a_time = true\nramp = "1s"',
        "load.ramp: says nothing with one_at_a_time; leave it out, or write concurrency, users or rate",
    ),
    ("[load]", "load: has neither duration nor requests: it would never end; write duration"),
    ("", "load: has neither duration nor requests"),
    ('[load]\nduration = "0s"', "load.duration: is zero"),
    ('[load]\nduration = "8d"', 'load.duration: "8d" is not a duration'),
    ('[load]\nduration = "200h"', 'load.duration: "200h" is longer than a week'),
    ('[load]\nduration = "-5s"', 'load.duration: "-5s" is negative'),
    ("[load]\nduration = true", "load.duration: true is not a duration"),
    ("[load]\nduration = 1.5", 'load.duration: 1.5 has no unit; write it like "1.5s"'),
    ("[load]\nduration = inf", "load.duration: inf is not a duration"),
    ("[load]\nrequests = 0", "load.requests: 0 is out of range"),
    ("[load]\nrequests = true", "load.requests: true is not a count"),
    ('[load]\nrequests = "x"', 'load.requests: "x" is not a count'),
    ("[load]\nrequests = 2000000000000", "load.requests: 2000000000000 is out of range"),
    ("[load]\nrequests = 5\nconcurrency = 1000001", "load.concurrency: 1000001 is beyond any machine"),
    ('[load]\nduration = "5s"\nrate = "0/s"', 'load.rate: "0/s" is not above 0; write it like "20/s"'),
    ('[load]\nduration = "5s"\nrate = 0', "load.rate: 0 is not above 0"),
    ('[load]\nduration = "5s"\nrate = "-1/s"', 'load.rate: "-1/s" is negative'),
    ('[load]\nduration = "5s"\nrate = "20"', 'load.rate: "20" is not a rate; write it like "20/s"'),
    ('[load]\nduration = "5s"\nrate = "20/d"', 'load.rate: "20/d" is not a rate'),
    ('[load]\nduration = "5s"\nrate = true', "load.rate: true is not a rate"),
    ('[load]\nduration = "5s"\nrate = nan', "load.rate: nan is not a rate"),
    ('[load]\nduration = "5s"\nrate = "11M/s"', 'load.rate: "11M/s" is beyond any machine'),
    ('[load]\nrate = "5/s"', "load: has neither duration nor requests"),
    ("[load]\nusers = 5", "load: has neither duration nor requests"),
    ("[load]\none_at_a_time = true", "load: has neither duration nor requests"),
    (
        '[load]\nduration = "5s"\nconcurrency = 3\nrate = "5/s"',
        "load.rate: says how to load, and so does load.concurrency; leave one of them",
    ),
    (
        '[load]\nduration = "5s"\nusers = 3\nconcurrency = 3\nburst.size = 3',
        "load.burst: says how to load, and so does load.concurrency and load.users; leave one of them",
    ),
    (
        '[load]\nduration = "5s"\narrivals = "gamma"',
        "load.arrivals: says nothing with concurrency; leave it out, or",
    ),
    ('[load]\nduration = "5s"\nmax_in_flight = 5', "load.max_in_flight: says nothing with concurrency"),
    (
        '[load]\nduration = "5s"\nrate = 5\nover_cap = "drop"',
        "load.over_cap: needs a cap; write max_in_flight",
    ),
    ('[load]\nduration = "5s"\nrate = 5\nburstiness = 0.5', "load.burstiness: is the shape of gamma's gaps"),
    ('[load]\nduration = "5s"\nrate = 5\narrivals = "gamma"\nburstiness = 0', "load.burstiness: is zero"),
    ('[load]\nduration = "5s"\nrate = 5\narrivals = "pareto"', 'load.arrivals: "pareto" is not known here'),
    ("[load]\nstages = []", "load.stages: is empty"),
    (
        '[load.stages]\ntime = "5s"\nfrom = 2',
        "load.stages: is one table, not a list of tables; write [[load.stages]]",
    ),
    ('[[load.stages]]\ntime = "5s"', 'load.stages[0].from: is missing; write from = "20/s"'),
    ("[[load.stages]]\nfrom = 5", 'load.stages[0].time: is missing; write time = "30s"'),
    (
        '[[load.stages]]\ntime = "0s"\nfrom = 5\n[[load.stages]]\ntime = "1s"\nfrom = 5',
        "load.stages[0].time: is zero",
    ),
    ('[[load.stages]]\ntime = "5s"\nfrom = 0', "load.stages: have a rate of 0 throughout"),
    ('[[load.stages]]\ntime = "5s"\nfrom = 0\nto = "0/min"', "load.stages: have a rate of 0 throughout"),
    (
        '[load]\nduration = "5s"\n[[load.stages]]\ntime = "5s"\nfrom = 1',
        "load.duration: says nothing with stages; leave it out: stages are as long as they are",
    ),
    ('[load]\nramp = "1s"\n[[load.stages]]\ntime = "5s"\nfrom = 1', "load.ramp: says nothing with stages"),
    ('[load.burst]\nsize = 5\nevery = "2s"', "load: has neither duration nor requests"),
    ('[load]\nduration = "5s"\n[load.burst]\nsize = 5\nevery = 0', "load.burst.every: is zero"),
    ("[load.burst]\nsize = 5000000", "load.burst.size: 5000000 is beyond any machine"),
    (
        "[load.trace]\nspeed = 2",
        'load.trace: needs timestamps, and source = "code" has none; use one of jsonl',
    ),
    ("[load]\nlevels = [8, 16]", "load.levels: need duration: the schedule is laid down before the run"),
    ('[load]\nduration = "5s"\nlevels = []', "load.levels: is empty"),
    ('[load]\nduration = "5s"\nlevels = [8, "5/s"]', "load.levels[0]: 8 is not a rate"),
    ('[load]\nduration = "5s"\nlevels = [8, "5/s"]\nusers = 1', "load.levels[1]: is a rate, and load.users"),
    ('[load]\nduration = "5s"\nlevels = [8]\nrate = 5', 'load.levels[0]: 8 is not a rate; write "8/s"'),
    ('[load]\nduration = "5s"\nlevels = [5.5]', "load.levels[0]: 5.5 is not a whole number"),
    ('[load]\nduration = "5s"\nlevels = [0]', "load.levels[0]: 0 is out of range"),
    ('[load]\nduration = "5s"\nlevels = [5000000]', "load.levels[0]: 5000000 is beyond any machine"),
    (f'[load]\nduration = "5s"\nlevels = {[8] * 101}', "load.levels: has 101 items; write at most 100"),
    (
        '[load]\nduration = "5s"\nlevels = [8]\none_at_a_time = true',
        "load.levels: says nothing with one_at_a_time",
    ),
    (f"{LOAD}until = {{ percentile = 99, relative = 0.05 }}", "load.until.metric: is missing"),
    (f'{LOAD}until = {{ metric = "tft", percentile = 99, relative = 0.05 }}', 'did you mean "ttft"?'),
    (f'{LOAD}until = {{ metric = "ttft", percentile = 100, relative = 0.05 }}', "load.until.percentile: 100"),
    (
        f'{LOAD}until = [{{ metric = "ttft", percentile = 99, relative = 0 }}]',
        "load.until[0].relative: 0.0 is out",
    ),
    (f'{LOAD}until = {{ metric = "ttft", percentile = 99, relative = "101%" }}', "load.until.relative: "),
    (
        f'{LOAD}levels = [8]\nuntil = {{ metric = "ttft", percentile = 9, relative = 0.1 }}',
        "load.until: can't end a level",
    ),
    (f"{LOAD}stop_at_errors = {{ share = 1 }}", "load.stop_at_errors.share: 1.0 is out of range"),
    (f'{LOAD}stop_at_errors = {{ share = "5 percent" }}', "is not a share; write it like"),
    (f'{LOAD}stop_at_errors = {{ share = "5%", over = 0 }}', "load.stop_at_errors.over: is zero"),
    (f'{LOAD}stop_at_errors = "5%"', 'load.stop_at_errors: "5%" is not a table'),
]


@pytest.mark.parametrize(("part", "keys", "says"), cases("load_keys", LOADS))
def test_a_mistake_is_one_line(tmp_path: Path, part: str, keys: str, says: str) -> None:
    (line,) = lines_of(scenario(tmp_path, **{part: keys}))
    assert says in line


GOOD: list[tuple[str, Mode]] = [
    (LOAD, "concurrency"),
    (f"{LOAD}concurrency = 9\nramp = 0", "concurrency"),
    (f'{LOAD}users = "1k"\nramp = "2s"', "users"),
    ("[load]\none_at_a_time = true\nrequests = 9", "one_at_a_time"),
    (f'{LOAD}rate = "300/min"\nramp = "2s"\nmax_in_flight = 9\nover_cap = "drop"', "rate"),
    (f"{LOAD}rate = 2.5\narrivals = 'gamma'\nburstiness = 0.5", "rate"),
    (f"{LOAD}levels = [8, '1k']", "concurrency"),
    (f"{LOAD}levels = ['8/s', '60/min']\nrequests = 5", "rate"),
    (f"{LOAD}levels = [8, 16]\nusers = 1", "users"),
    (
        '[load]\nstages = [{ time = "5s", from = 0, to = 2, arrivals = "gamma" }, { time = "9s", from = 0 }]',
        "stages",
    ),
    ("[load.burst]\nsize = 50", "burst"),
    (f"{LOAD}max_in_flight = 3\n[load.burst]\nsize = 50\nevery = '1s'", "burst"),
    (f"{LOAD}until = {{ metric = 'e2e', percentile = 99.9, relative = '5%' }}", "concurrency"),
    (f"{LOAD}stop_at_errors = {{ share = 0.5, over = '3s' }}", "concurrency"),
]


def test_two_mistakes_make_no_third(tmp_path: Path) -> None:
    keys = '[load]\nduration = "5s"\nrate = "x"\nconcurency = 3'
    lines = lines_of(scenario(tmp_path, load_keys=keys))
    assert [line.partition(";")[0] for line in lines] == [
        "load.concurency: unknown key",
        'load.rate: "x" is not a rate',
    ]


@pytest.mark.parametrize(("keys", "mode"), GOOD)
def test_a_way_to_load_is_read(tmp_path: Path, keys: str, mode: Mode) -> None:
    assert load(scenario(tmp_path, load_keys=keys)).load.mode == mode


@pytest.mark.parametrize("source", ["jsonl", "mooncake", "azure", "burstgpt"])
def test_a_trace_needs_one_file_with_timestamps(tmp_path: Path, source: str) -> None:
    workload, trace = f'source = "{source}"\nfile = "s.toml"', "[load.trace]\nspeed = 10\nlength = '1m'"
    path = scenario(tmp_path, workload=workload, load_keys=trace)
    assert load(path).load.mode == "trace"
    two = path.read_text().replace("[workload]", "[[workload]]\n[[workload]]")
    path.write_text(two)
    assert lines_of(path) == [
        "load.trace: is the timestamps of one file, and there are 2 workloads; leave one of them"
    ]


def test_levels_take_the_place_of_the_key_that_says_what_they_are(tmp_path: Path) -> None:
    got = load(scenario(tmp_path, load_keys=f"{LOAD}users = 99\nlevels = [8, 16]")).load
    assert (got.users, got.levels, got.concurrency, got.rate_per_s) == (8, (8.0, 16.0), None, None)
    got = load(scenario(tmp_path, load_keys=f"{LOAD}levels = ['8/s', '1k/min']")).load
    assert (got.users, got.levels, got.concurrency, got.rate_per_s) == (None, (8.0, 1000 / 60), None, 8.0)


def test_no_way_to_load_is_one_at_any_time(tmp_path: Path) -> None:
    assert load(scenario(tmp_path)).load.concurrency == 1


def test_an_open_loop_is_told_from_a_closed_one(tmp_path: Path) -> None:
    for keys, mode in GOOD:
        assert load(scenario(tmp_path, load_keys=keys)).load.open_loop == (
            mode in {"rate", "stages", "burst"}
        )


def test_until_knows_the_times_and_speeds_of_a_request() -> None:
    of_a_server = {m.name for m in METRICS if m.unit in {"ms", "ms/token", "tokens/s", "chars/s"}}
    assert set(UNTIL_METRICS) == of_a_server - {"send_lag", "connect"}
