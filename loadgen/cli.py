"""The commands. A body is one call into the library; imports stand inside, so that `--help` is quick."""

import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadgen.scenario.model import Scenario

import click

from loadgen import __version__
from loadgen.errors import LoadgenError, ScenarioError


class _Program(click.Group):
    """Every command's mistakes of the user end here: one line each, and the exit code they carry."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except LoadgenError as error:
            for problem in error.problems:
                click.echo(f"Error: {problem}", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            click.echo("Error: standard output: no space left", err=True)
            ctx.exit(1)
        except KeyboardInterrupt as error:
            after = "\n" if sys.stderr.isatty() else ""  # after the terminal's own ^C
            click.echo(f"{after}Interrupted{error}", err=True)
            ctx.exit(130)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="loadgen")
def main() -> None:
    """Measure LLM endpoints with numbers you can trust."""


def _scenario_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that change a scenario."""
    options = (
        click.option("--base-url", metavar="URL", help="Send every target there (ends in /v1)."),
        click.option(
            "--model", multiple=True, metavar="NAME", help="One target for each model (repeatable)."
        ),
        click.option("--api-key-env", metavar="VAR", help="Variable that holds the key."),
        click.option("--concurrency", metavar="N", help="Sessions at any time, for each target."),
        click.option("--rate", metavar="R", help="Sessions that arrive, like 20/s, for each target."),
        click.option("--requests", metavar="N", help="Sessions in the window, for each target; or .."),
        click.option("--duration", metavar="D", help=".. its length, like 30s: whichever comes first."),
        click.option("--warmup", metavar="D", help="Time before the window opens."),
        click.option("--ramp", metavar="D", help="Time over which the sessions begin."),
        click.option("--seed", type=click.IntRange(0), metavar="N", help="Seed of plan and prompts."),
        click.option(
            "--max-cost", type=float, metavar="USD", help="End the run before it costs more than this."
        ),
        click.option(
            "--set", "sets", multiple=True, metavar="PATH=VALUE", help="Any key of the scenario (repeatable)."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _load(path: Path, sets: tuple[str, ...], **options: Any) -> "Scenario":
    from loadgen.scenario.load import load  # noqa: PLC0415 - not for --help
    from loadgen.scenario.overrides import from_options, parse_set  # noqa: PLC0415

    return load(path, [*from_options(**options), *map(parse_set, sets)])


def _confirm(question: str) -> None:
    """Ask whether to go on; without a terminal nobody can say yes."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        remedy = "add --yes, or a --max-cost of at most 1"
        raise ScenarioError("", f"{question}, and there is no terminal to ask on", remedy)
    try:
        click.confirm(f"{question}. Go on?", abort=True, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


@main.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@_scenario_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    metavar="DIR",
    help="Where run folders are written.",
)
@click.option(
    "--no-probe", is_flag=True, help="Send no request before the load to see that the target answers."
)
@click.option("--yes", is_flag=True, help="Don't ask, whatever the run can cost.")
@click.option("--quiet", is_flag=True, help="Show no progress, nor where the run lies.")
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the table.")
def run(
    scenario: Path, out: Path, *, no_probe: bool, yes: bool, quiet: bool, as_json: bool, **options: Any
) -> None:
    """Replay a scenario, write a run folder, print the table.

    Exit codes: 0 done, 1 could not run, 2 usage or scenario wrong, 3 an objective missed or ended by
    stop_at_errors, 4 invalid as a measurement, 130 interrupted (the run folder is complete up to then).
    """
    try:
        from loadgen.api import RunOptions  # noqa: PLC0415 - not for --help
        from loadgen.api import run as carry_out  # noqa: PLC0415
        from loadgen.run.progress import choose_style  # noqa: PLC0415

        style = choose_style(quiet, sys.stderr.isatty)
        how = RunOptions(out=out, probe=not no_probe, progress=style, confirm=None if yes else _confirm)
        result = carry_out(_load(scenario, **options), how)
    except KeyboardInterrupt:  # later a run drains
        raise KeyboardInterrupt(" before the load began: no run folder was written") from None
    if as_json:
        click.echo((result.folder / "report.json").read_bytes(), nl=False)
    else:
        from loadgen.report.table import print_report  # noqa: PLC0415 - rich is needed at the end only

        print_report(result.report)
    if not quiet:
        click.echo(f"{result.folder}", err=True)
    raise SystemExit(result.exit_code)


@main.command()
@click.argument("scenario", type=click.Path(path_type=Path), required=False)
@_scenario_options
@click.option("--schema", is_flag=True, help="Print the JSON Schema of scenario files and do nothing else.")
def check(scenario: Path | None, schema: bool, **options: Any) -> None:
    """Validate a scenario and show what a run would do. Sends nothing."""
    if schema:
        import json  # noqa: PLC0415 - not for --help

        from loadgen.scenario.schema import json_schema  # noqa: PLC0415

        click.echo(json.dumps(json_schema(), indent=2))
        return
    if scenario is None:
        raise click.UsageError("Missing argument 'SCENARIO'.")
    from loadgen.plan.plan import build  # noqa: PLC0415 - not for --help
    from loadgen.report.preview import preview  # noqa: PLC0415
    from loadgen.workload.source import decide_salt, open_prompts  # noqa: PLC0415

    loaded = _load(scenario, **options)
    prompts = open_prompts(
        [decide_salt(w) for w in loaded.workloads],
        loaded.seed,
        context=loaded.context_tokens,
        endpoints=loaded.endpoints,
    )
    click.echo(preview(loaded, build(loaded, prompts), prompts))


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--by", metavar="GROUP", help="Print a metric by task, turn, prompt_tokens, second, ...")
@click.option("--metric", default="ttft", show_default=True, metavar="NAME", help="The metric of --by.")
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the table.")
def report(run: Path, by: str | None, metric: str, as_json: bool) -> None:
    """Write the reports of a saved run again (also of a killed one), and print the table.

    RUN is a run folder, a scenario's folder (its latest run) or a report.json. With --by nothing is written.
    """
    if by is not None:
        from loadgen.report.slices import show  # noqa: PLC0415 - not for --help

        show(run, by, metric, as_json=as_json)
        return
    from loadgen.report.files import report_again  # noqa: PLC0415 - not for --help
    from loadgen.report.table import print_report  # noqa: PLC0415

    saved = report_again(run)
    for note in saved.notes:
        click.echo(f"Note: {note}", err=True)
    if as_json:
        click.echo(saved.file.read_bytes(), nl=False)
    else:
        print_report(saved.report)


@main.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--baseline",
    metavar="NAME",
    help="Compare with this target or run, or with last-good: see docs/compare.md.",
)
@click.option(
    "--fail-if",
    multiple=True,
    metavar="GATE",
    help='Exit with 3 where it holds at 95 %, like "ttft.p99 worse by 5%" (repeatable).',
)
@click.option(
    "--markdown",
    "markdown_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Add the tables to this file.",
)
@click.option(
    "--junit",
    "junit_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write gates and objectives as JUnit XML.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the tables.")
def compare(runs: tuple[str, ...], baseline: str | None, fail_if: tuple[str, ...], **shown: Any) -> None:
    """Say which is faster, by how much, and how sure that is.

    One RUN: its targets against the first of them. Several: each against the first. Several runs of the same,
    joined by commas, are one side. Runs of several scenarios give a table of who wins where.
    """
    from loadgen.answers.compared import compare as compare_runs  # noqa: PLC0415 - not for --help
    from loadgen.report.compared import show  # noqa: PLC0415

    compared = compare_runs(runs, baseline=baseline, fail_if=fail_if)
    click.get_current_context().exit(show(compared, **shown))


@main.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    metavar="DIR",
    help="Where run folders are.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of the table.")
def runs(out: Path, as_json: bool) -> None:
    """List saved runs, newest first."""
    from loadgen.results.read import list_runs  # noqa: PLC0415 - not for --help

    found = list_runs(out)
    if as_json:
        import msgspec  # noqa: PLC0415

        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=1))
    elif found:
        from loadgen.report.runs import print_runs  # noqa: PLC0415

        print_runs(found)
    else:
        click.echo(f"no runs in {out}", err=True)


@main.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of the table.")
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List the models that are known: context, prices, tiers, and who says so.

    The variable LOADGEN_MODELS names a file of your own that is laid over the catalogue.
    """
    from loadgen.report.models import print_models  # noqa: PLC0415 - not for --help

    if ctx.invoked_subcommand is None:
        print_models(as_json=as_json)


@models.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--input", "input_tokens", default="0", metavar="TOKENS", help="Tokens of prompts, like 800M.")
@click.option("--output", "output_tokens", default="0", metavar="TOKENS", help="Tokens of answers.")
@click.option(
    "--cached", "cached_tokens", default="0", metavar="TOKENS", help="Those of the input that a cache serves."
)
@click.option("--mix", metavar="IN:OUT", help="Price of a million tokens of which so many parts are each.")
@click.option(
    "--prompt-tokens", default="0", metavar="N", help="Length of one prompt: where prices have tiers."
)
@click.option(
    "--month", is_flag=True, help="A month's tokens: free ones off, agentic premium and support on."
)
@click.option(
    "--no-premium", "premium", flag_value=False, default=True, help="The month is not agentic work."
)
@click.option("--batch", is_flag=True, help="Sent as a batch, at its discount.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of the table.")
def cost(models: tuple[str, ...], **options: Any) -> None:
    """Work out what tokens cost with each MODEL, in USD."""
    from loadgen.report.models import print_cost  # noqa: PLC0415 - not for --help

    print_cost(models, **options)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Serve only this model (repeatable). Without it every name is served.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of texts and times.")
@click.option("--api-key-env", metavar="VAR", help="Require the key that this variable holds.")
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Append the true instants of every request, one JSON line each.",
)
@click.option("--exit-with-stdin", is_flag=True, hidden=True, help="Stop when standard input ends.")
def simulate(**options: Any) -> None:
    """Serve the built-in simulator on its own.

    Prints {"base_url": ...} when it is ready; stops on Ctrl-C. Every model is served; these have a profile of
    their own: gemini-3.1-pro, gpt-5.4, gpt-4o-2024-11-20, gpt-image-1-mini, gpt-5.5, gemini-3.5-flash,
    gpt-5.4-mini, claude-sonnet-4-6.
    """
    from loadgen.simulator.server import SimulatorOptions, serve  # noqa: PLC0415 - not for --help

    serve(SimulatorOptions(**options))
