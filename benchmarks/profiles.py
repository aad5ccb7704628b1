"""The claim: the simulated gpt-5.5 and gemini-3.5-flash are as fast as the article that compares them says.

Article D, "GPT-5.5 vs Gemini 3.5 Flash", prints for both an "average latency, 1k tokens" and a "max token
throughput", under identical conditions. Our reading: the mean TTFT of a 1,000-token prompt on an idle server;
output tokens/s with the largest batch full, 100-token prompts and 500-token answers. `loadgen run` measures
both models against the simulator: one request at a time; then with half as many places again as the larger
batch has, so that neither is ever short of requests. Each within 2 % of the article's figure.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

from bars import Bars, options, run_script
from reference import BenchmarkError, pinned, run_process, two_cores

from loadgen.simulator.process import start

BAR: Final = 0.02
MODELS: Final = ("gpt-5.5", "gemini-3.5-flash")
TTFT_MS: Final = dict(zip(MODELS, (320, 190), strict=True))
TOKENS_PER_S: Final = dict(zip(MODELS, (3_100, 5_400), strict=True))

_IDLE: Final = """
prompt_tokens = 1000
output_tokens = 2
[load]
one_at_a_time = true
requests = {requests}
"""
# The places begin over two answers, so that the window does not see the batch end all at once.
_FULL: Final = """
prompt_tokens = 100
output_tokens = 500
[load]
concurrency = 144
ramp = "20s"
warmup = "24s"
duration = "{duration_s}s"
grace = "60s"
"""


def _run(name: str, rest: str, base_url: str, folder: Path) -> dict[str, Any]:
    """Run a scenario against the simulator; return the report's targets by name."""
    targets = "".join(f'[[targets]]\nname = "{m}"\nmodel = "{m}"\nbase_url = "{base_url}"\n' for m in MODELS)
    scenario = folder / f"{name}.toml"
    scenario.write_text(f'name = "{name}"\n{targets}[workload]\nsource = "code"\nsalt = true{rest}')
    env = {key: value for key, value in os.environ.items() if not key.startswith("OPENAI_")}
    command = [sys.executable, "-m", "loadgen", "run", str(scenario), "--out", str(folder / "run")]
    ended = run_process(
        [*command, "--quiet", "--yes"], folder=folder, core=two_cores().client, timeout_s=240, env=env
    )
    if ended.exit_code not in {0, 4}:  # 4: invalid as a measurement
        raise BenchmarkError(f"loadgen run ended with {ended.exit_code}: {ended.stderr[-2000:]}")
    report = json.loads((folder / "run" / name / "latest" / "report.json").read_bytes())
    print(f"{name}: verdict {report['verdict']['state']}", *report["verdict"]["reasons"], sep="\n  ")
    return {target["name"]: target for target in report["targets"]}


def measure(folder: Path, bars: Bars, *, quick: bool) -> None:
    """Measure both models idle, then both with their batches full."""
    with pinned(two_cores().server):
        simulator = start(MODELS)
    with simulator:
        idle = _run("idle", _IDLE.format(requests=30 if quick else 100), simulator.base_url, folder)
        full = _run("full", _FULL.format(duration_s=10 if quick else 30), simulator.base_url, folder)
    for model in MODELS:
        metrics, article = idle[model]["metrics"], TTFT_MS[model]
        ttft, tokens = metrics["ttft_ms"], metrics["prompt_tokens"]
        what = f"{model}, mean TTFT over {ttft['count']} prompts of {tokens['mean']:.0f} tokens, alone"
        _stand(bars, what, ttft["mean"], article, "ms")
    for model in MODELS:
        metrics, rates = full[model]["metrics"], full[model]["rates"]
        sizes = f"{metrics['prompt_tokens']['mean']:.0f} + {metrics['output_tokens']['mean']:.0f} tokens"
        what = f"{model}, output with the batch full, requests of {sizes}"
        _stand(bars, what, rates["output_tokens_per_s"], TOKENS_PER_S[model], "tokens/s")


def _stand(bars: Bars, what: str, measured: float, article: float, unit: str) -> None:
    """Print a figure beside the article's, and hold the deviation against the bar."""
    off = 100 * (measured / article - 1)
    print(f"  {what}: {measured:,.1f} {unit} (article: {article:,} {unit}), {off:+.2f} %")
    bars.at_most("off the article by", abs(off), 100 * BAR, "%")


if __name__ == "__main__":
    asked = options(__doc__ or "").parse_args()
    run_script(partial(measure, quick=asked.quick))
