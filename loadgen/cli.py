"""The commands. A body is one call into the library; imports stand inside, so that `--help` is quick."""

from pathlib import Path
from typing import Any

import click

from loadgen import __version__
from loadgen.errors import LoadgenError


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


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="loadgen")
def main() -> None:
    """Measure LLM endpoints with numbers you can trust."""


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

    Prints {"base_url": ...} when it is ready; stops on Ctrl-C.
    """
    from loadgen.simulator.server import SimulatorOptions, serve  # noqa: PLC0415 - not for --help

    serve(SimulatorOptions(**options))
