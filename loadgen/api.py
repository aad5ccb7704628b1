"""One run from a scenario to its folder: the order of things, each done by its own room.

Here the path of `loadgen run` is laid out: prompts, plan, probe, folder, runner, reports.
"""

import asyncio
import contextlib
import os
import platform
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from loadgen import __version__
from loadgen.answers.within import with_answers
from loadgen.errors import OutputError
from loadgen.measure.histogram import encode
from loadgen.measure.objective import bounds
from loadgen.measure.recorder import LevelWindow, Recorder
from loadgen.plan.plan import Plan, build
from loadgen.report.files import write_reports
from loadgen.results.folder import RunFolder
from loadgen.results.journal import Journal
from loadgen.results.model import Report, Run
from loadgen.results.routes import route_facts
from loadgen.results.summary import RunState, TargetFacts, Vitals, Window, build_report
from loadgen.run.calibrate import calibrate
from loadgen.run.forecast import check_money
from loadgen.run.limits import check_descriptors
from loadgen.run.prices import price_source, priced
from loadgen.run.probe import probe
from loadgen.run.progress import Progress, Style
from loadgen.run.purse import Purse
from loadgen.run.routes import Routed, stand_in, with_own_engines
from loadgen.run.runner import Runner
from loadgen.scenario.dump import plain, to_toml
from loadgen.scenario.model import ROUTED, Scenario, Target
from loadgen.scenario.traffic import Load
from loadgen.units import format_duration, format_rate
from loadgen.wire.client import Client
from loadgen.wire.decode_queue import DecodeQueue
from loadgen.wire.request import request_head
from loadgen.workload.calibrate import calibrated, calibration_prompts
from loadgen.workload.prompt import Prompts
from loadgen.workload.source import decide_salt, open_prompts

EXIT_OK: Final = 0
EXIT_COULD_NOT: Final = 1
EXIT_MISSED: Final = 3
EXIT_INVALID: Final = 4
EXIT_INTERRUPTED: Final = 130
_UPDATE_EVERY_TICKS: Final = 5


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run is carried out, beside what its scenario says.

    confirm: called with a question before anything is sent, where the run may cost more than little; raises
    what is to end it.
    """

    out: Path
    probe: bool = True
    progress: Style = "none"
    confirm: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run: its report, where it lies, and the exit code of the contract."""

    report: Report
    folder: Path
    exit_code: int


def run(scenario: Scenario, options: RunOptions) -> RunResult:
    """Carry out a scenario and write its run folder.

    Raises:
        LoadgenError: the run could not be carried out; nothing has been written then, unless the disk
            filled up on the way, when all that fitted is kept.
        KeyboardInterrupt: Ctrl-C or SIGTERM before the load began; nothing has been written. Later they end
            the run, and its result is returned.
    """
    begin = time.perf_counter()
    result: RunResult | None = None
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError), contextlib.ExitStack() as stack:
        targets = scenario.targets
        if any(t.base_url is None for t in targets):
            targets = _with_simulator(scenario, stack)
        the_run = _Run(scenario, targets, options, begin)
        with asyncio.Runner(loop_factory=_loop_factory()) as loop:
            result = loop.run(the_run.carry_out())
    if result is None:
        raise KeyboardInterrupt
    return result


def _with_simulator(scenario: Scenario, stack: contextlib.ExitStack) -> tuple[Target, ...]:
    """Start the simulator and give its address to the targets without one."""
    from loadgen.simulator.process import start  # noqa: PLC0415  # only runs that need it

    simulator = stack.enter_context(start(seed=scenario.seed))
    return tuple(
        msgspec.structs.replace(t, base_url=simulator.base_url) if t.base_url is None else t
        for t in scenario.targets
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  # plain asyncio where it is not to be had
    except ImportError:
        return None
    return uvloop.new_event_loop


class _Run:
    """The parts of one run, put together and carried out."""

    def __init__(
        self, scenario: Scenario, targets: tuple[Target, ...], options: RunOptions, begin_s: float
    ) -> None:
        self.repeats = all(w.repeats for w in scenario.workloads)
        scenario = msgspec.structs.replace(scenario, workloads=tuple(map(decide_salt, scenario.workloads)))
        self.scenario = scenario
        self.asked = asked = msgspec.structs.replace(scenario, targets=priced(targets))
        self.options = options
        self.started = datetime.now(UTC)
        self.begin_s = begin_s
        self.host = _host()
        self.heads = {t.name: request_head(t, f"targets[{i}]") for i, t in enumerate(targets)}
        self.simulated = {t.name for t in scenario.targets if t.base_url is None}
        self.prompts = self._open_prompts()
        self.plan = build(scenario, self.prompts)
        check_money(scenario, self.plan, self.prompts, options.confirm, probed=options.probe)
        self.purse = Purse(scenario.budget.max_usd)
        check_descriptors(self.plan, (*asked.alone, *asked.routed), scenario.load.max_in_flight)
        mix = [stand_in(asked.routed)] if asked.routes else []
        sources = {t.name: price_source(t) for t in scenario.targets}
        if any(t.price for t in asked.routed):
            sources[ROUTED] = "its targets"
        if self.simulated & {t.name for t in asked.routed}:
            self.simulated.add(ROUTED)
        self.facts = tuple(
            TargetFacts(
                t.name,
                t.model,
                t.base_url or "",
                t.endpoint,
                t.name in self.simulated,
                t.insecure,
                price=t.price,
                price_source=sources.get(t.name),
            )
            for t in (*asked.alone, *mix)
        )
        levels = [LevelWindow(level.label, *level.window_ns) for level in self.plan.levels]
        self.recorder = Recorder(scenario.series, 0, levels, bounds(scenario.slo.objectives))
        self.runner: Runner | None = None
        self.folder: RunFolder | None = None
        self.journal: Journal | None = None
        self._ended = False
        self.progress = Progress(scenario.name, options.progress)

    def _open_prompts(self) -> Prompts:
        scenario = self.scenario
        return open_prompts(
            scenario.workloads,
            scenario.seed,
            context=scenario.context_tokens,
            endpoints=scenario.endpoints,
        )

    async def carry_out(self) -> RunResult:
        """Probe, make the folder, run the plan, write what is to be written."""
        self._take_signals()
        queue = DecodeQueue(asyncio.get_running_loop())
        asked, heads = self.asked, self.heads
        alone = [Client(t, heads[t.name], queue) for t in asked.alone]
        routed = [
            Client(t, request_head(t, t.name), queue) for t in with_own_engines(asked.routed, self.simulated)
        ]
        for client in (*alone, *routed):
            await client.open()
        if self.options.probe:
            one_each = {c.target.name: c for c in (*alone, *routed)}
            await probe([c for name, c in one_each.items() if name not in self.simulated], self.purse)
            await self._calibrate([*alone, *routed][0])
            apart = {t.name for t in asked.routed if not t.alone}
            self.facts = tuple(
                msgspec.structs.replace(
                    f, before=self.purse.before_of(apart if f.name == ROUTED else {f.name})
                )
                for f in self.facts
            )
        self.folder = folder = RunFolder.create(self.options.out, self.scenario.name, self.started)
        self.journal = Journal(folder, self.recorder, self._header)
        folder.write_scenario(to_toml(self.scenario))
        self.runner = runner = Runner(
            self.plan,
            self.scenario.load,
            [*alone, Routed(asked.routes, routed)] if routed else alone,
            prompts=self.prompts,
            queue=queue,
            recorder=self.recorder,
            record=self.journal.record,
            each_tick=self._tick,
            purse=None if self.purse.max_usd is None else self.purse,
        )
        await runner.run()
        return self._result()

    def _take_signals(self) -> None:
        """Hand Ctrl-C (and SIGTERM) to the runner once there is one; before, they end everything.

        Handlers of the loop, which they end with, run between two steps of a task only: none comes between
        the folder's making and the runner's start, and one too many does not cost the reports.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101  # this runs in one

        def on_signal() -> None:
            if self.runner is None:
                task.cancel()
                return
            first = not self.runner.interrupted
            self.runner.interrupt()
            grace = format_duration(self.plan.grace_ns)
            draining = f"stopping: waiting up to {grace} for what is in flight (Ctrl-C again cuts it off)"
            self.progress.message(draining if first else "cutting off")

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)

    async def _calibrate(self, client: Client) -> None:
        """Measure how much text a token is where the scenario does not say; the plan stays as it is."""
        scenario = self.scenario
        if asked := calibration_prompts(
            scenario.workloads,
            scenario.seed,
            context=scenario.context_tokens,
            endpoint=client.target.endpoint,
        ):
            found = await calibrate(client, asked, self.purse)
            if all(tokens is None for _, tokens in found):
                self.progress.message(
                    f"{client.target.name} does not tell prompt tokens: lengths are estimates"
                )
            self.scenario = msgspec.structs.replace(scenario, workloads=calibrated(scenario.workloads, found))
            self.prompts = self._open_prompts()

    def _tick(self, runner: Runner, ticks: int) -> None:
        assert self.journal is not None and self.folder is not None  # noqa: S101, PT018  # made before
        self.journal.tick(ticks, runner.elapsed_ns)
        if ticks % _UPDATE_EVERY_TICKS == 0:
            self.progress.update(runner)
        if self.folder.error is not None:
            runner.cut("cut off: the run folder can't be written any more")

    def state(self, *, complete: bool) -> RunState:
        """What a report needs beside the samples, as of now."""
        runner, folder = self.runner, self.folder
        assert folder is not None  # noqa: S101  # made before
        start, end = (
            (self.plan.levels[0].window_ns[0], None) if runner is None else runner.stage.windows_ns[-1]
        )
        wall_s = time.perf_counter() - self.begin_s
        run = Run(
            id=folder.id,
            scenario=self.scenario.name,
            description=self.scenario.description,
            started_at=self.started.isoformat(timespec="seconds"),
            wall_s=round(wall_s, 3),
            window_s=0.0,
            seed=self.scenario.seed,
            workers=1,
            digest=self.plan.digest,
            simulated=any(f.simulated for f in self.facts),
            interrupted=runner is not None and runner.interrupted,
            complete=complete,
            host=self.host,
            labels=self.scenario.report.labels,
            load=_load(self.scenario),
            epoch_ns=0 if runner is None else runner.epoch_ns,
            open_loop=self.plan.open_loop,
            stopped_by=None if runner is None else runner.stopped_by,
            set_aside=self.prompts.set_aside,
            max_usd=self.scenario.budget.max_usd,
            repeats_prompts=self.repeats,
        )
        vitals = Vitals(loop_lag="") if runner is None else _vitals(runner)
        ran_out = () if runner is None else runner.ran_out
        return RunState(
            run,
            self.facts,
            Window(start, end),
            vitals,
            _planned(self.plan),
            ran_out,
            levels=() if runner is None or len(self.plan.levels) == 1 else runner.windows(),
            dropped={name: r.dropped for name, r in self.recorder.targets.items() if r.dropped},
            arrivals={} if runner is None else runner.delivered(),
            routes=route_facts(self.scenario.routes),
            objectives=self.scenario.slo.objectives,
        )

    def _header(self) -> bytes:
        return msgspec.json.encode(self.state(complete=self._ended))

    def _result(self) -> RunResult:
        """Write the reports and close the folder."""
        folder, journal, runner = self.folder, self.journal, self.runner
        assert folder is not None and journal is not None and runner is not None  # noqa: S101, PT018
        self.progress.close()
        self._ended = True
        journal.finish(runner.elapsed_ns)
        folder.close()
        if folder.error is not None:
            raise OutputError(
                str(folder.path),
                f"could not be written to the end: {folder.error.strerror}",
                "what was written is kept; make room and run again, or read it with `loadgen report`",
            )
        report = with_answers(build_report(self.state(complete=True), self.recorder), folder.path)
        write_reports(folder.path, report, self.scenario.report.formats)
        return RunResult(report, folder.path, exit_code(report))


def exit_code(report: Report) -> int:
    """Return the exit code of the contract for a run that could be carried out."""
    if report.run.interrupted:
        return EXIT_INTERRUPTED
    if report.verdict.state == "invalid":
        return EXIT_INVALID
    met = all(objective.met for target in report.targets for objective in target.slo)
    return EXIT_OK if met and report.run.stopped_by != "errors" else EXIT_MISSED


def _vitals(runner: Runner) -> Vitals:
    health = runner.health
    return Vitals(
        loop_lag=encode(health.count_lags()),
        cpu_share=health.cpu_share,
        cpu_share_max=health.cpu_share_max,
        gc_pause_ns_max=health.gc_pause_ns_max,
        gc_collections=health.gc_collections,
        connections_max=health.connections_max,
        rss_max=health.rss_max,
        core_waited_share=health.core_waited_share,
        instants=runner.instants,
        clock_set_ns=health.clock_set_ns,
    )


def _planned(plan: Plan) -> int | None:
    """Requests that the plan has for its windows, over all targets; None where only time ends them."""
    if plan.open_loop:
        return sum(map(plan.arrivals_in, plan.levels)) * plan.targets
    return None if plan.requests is None else plan.requests * plan.targets * len(plan.levels)


def _load(scenario: Scenario) -> dict[str, Any]:
    """The load as the scenario says it, for the head of a report: what differs from the defaults."""
    defaults: dict[str, Any] = plain(Load())
    load: dict[str, Any] = plain(scenario.load)
    if scenario.load.mode == "concurrency" and not scenario.load.levels:
        load = {"concurrency": 1} | load
    if load.get("levels"):
        del load[scenario.load.mode]  # it holds the first level
        if scenario.load.mode == "rate":
            load["levels"] = [format_rate(level) for level in scenario.load.levels]
    said = {"grace", "arrivals"} if scenario.load.mode == "rate" else {"grace"}
    told = {key: value for key, value in load.items() if key in said or value != defaults.get(key)}
    counts = msgspec.to_builtins(told, enc_hook=lambda n: int(n) if isinstance(n, int) else float(n))
    return dict(counts)


def _host() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "loop": "asyncio" if _loop_factory() is None else "uvloop",
        "loadgen": __version__,
    }
