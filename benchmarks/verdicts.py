"""The claim: `compare` tells a difference of 5 % in TTFT from none, end to end.

`loadgen run` measures two targets on the simulator, 2,000 requests each, sigma of every duration 0.25: twenty
times two equal ones, which may be told apart in TTFT in at most three runs, and twenty times two of which one
is 5 % slower to its first token, which has to be found in at least eighteen.
"""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

from bars import Bars, options, run_script
from reference import BenchmarkError, run_process, two_cores

RUNS: Final = 20
MOST_TOLD_APART: Final = 3
FEWEST_FOUND: Final = 18
REQUESTS: Final = 2_000
SHIFT: Final = 1.05
_TTFT_NS: Final = 150_000_000
# the simulator with profiles of its own: TTFT is its overhead and next to nothing else
_SERVER: Final = """
import sys
import msgspec
from loadgen.catalog import profiles
from loadgen.simulator.server import SimulatorOptions, serve
known = profiles.profile
def profile(model):
    found = known("gpt-5.5")
    engine = msgspec.structs.replace(
        found.engine, overhead_ns=round({ttft} * (float(model) if model[0] == "1" else 1)), spread=0.25,
        prefill_tokens_per_s=1e7, decode_step_base_ns=1_000_000, decode_step_per_sequence_ns=0, max_batch=512,
    )
    return msgspec.structs.replace(found, model=model, engine=engine, reasoning={{}})
profiles.profile = profile
import loadgen.simulator.app, loadgen.simulator.api, loadgen.simulator.driver
for module in list(sys.modules.values()):
    if getattr(module, "profile", None) is known:
        module.profile = profile
serve(SimulatorOptions(port=0, seed={seed}, exit_with_stdin=True))
"""
_SCENARIO: Final = """name = "verdicts"
seed = {seed}
[[targets]]
name = "base"
model = "1.0"
base_url = "{url}"
[[targets]]
name = "other"
model = "{other}"
base_url = "{url}"
[workload]
prompt_tokens = 60
output_tokens = 2
[load]
concurrency = 40
warmup = "1s"
requests = {requests}
[report]
formats = []
"""


def _verdict(other: float, seed: int, folder: Path) -> dict[str, Any]:
    """Run once; return the row of TTFT's median."""
    program = _SERVER.format(ttft=_TTFT_NS, seed=seed)
    command = ["taskset", "-c", str(two_cores().server), sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["base_url"]
            file = folder / "verdicts.toml"
            file.write_text(_SCENARIO.format(seed=seed, url=url, other=other, requests=REQUESTS))
            env = {key: value for key, value in os.environ.items() if not key.startswith("OPENAI_")}
            run = [sys.executable, "-m", "loadgen", "run", str(file), "--out", str(folder / "run"), "--quiet"]
            ended = run_process(run, folder=folder, core=two_cores().client, timeout_s=120, env=env)
            if ended.exit_code not in {0, 4}:
                raise BenchmarkError(f"loadgen run ended with {ended.exit_code}: {ended.stderr[-2000:]}")
        finally:
            server.terminate()
    report = json.loads((folder / "run" / "verdicts" / "latest" / "report.json").read_bytes())
    rows = [r for r in report["comparison"] if (r["metric"], r["percentile"]) == ("ttft_ms", "p50")]
    return rows[0] | {"state": report["verdict"]["state"]}


def measure(folder: Path, bars: Bars, *, quick: bool) -> None:
    """Run both sets, in turn."""
    runs = RUNS // 4 if quick else RUNS
    told: dict[float, int] = {1.0: 0, SHIFT: 0}
    for seed in range(1, runs + 1):
        for other in told:
            row = _verdict(other, seed, folder)
            apart = row["verdict"] in {"better", "worse"}
            told[other] += row["verdict"] == "worse" if other > 1 else apart
            low, high = row["ratio_ci95"]
            print(
                f"  seed {seed:2}, true ratio {other:.2f}: {row['ratio']:.4f} [{low:.4f}, {high:.4f}], "
                f"{row['verdict']} (p = {row['p_value']:.2g}; run {row['state']})",
                flush=True,
            )
    bars.at_most(f"equal, of {runs}: told apart", told[1.0], MOST_TOLD_APART * runs / RUNS)
    missed = runs - told[SHIFT]
    bars.at_most(f"5 % slower, of {runs}: not found", missed, (RUNS - FEWEST_FOUND) * runs / RUNS)


if __name__ == "__main__":
    args = options(__doc__ or "").parse_args()
    run_script(partial(measure, quick=args.quick))
