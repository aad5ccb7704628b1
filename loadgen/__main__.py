"""`python -m loadgen` is the same program as `loadgen`."""

from loadgen.cli import main

if __name__ == "__main__":
    main()
