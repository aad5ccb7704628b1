"""The program: `loadgen`, and `python -m loadgen`."""

import sys


def main() -> None:
    """Run the command that the arguments name; a Ctrl-C while it is being loaded is no traceback either."""
    try:
        from loadgen.cli import main as program  # noqa: PLC0415 - inside the try
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted\n")
        sys.exit(130)
    program()


if __name__ == "__main__":
    try:
        main()
    finally:
        # a Ctrl-C that fell into a module's exec("...") has been dealt with, but CPython remembers it until
        # the next exec, and would end `python -m` by SIGINT instead of with our exit code
        exec("")  # noqa: S102
