"""Runs llmock, which plays providers' faults and grades how a client takes them.

Prints one line of JSON with its URL once it listens, then serves until standard
input closes, so that it never outlives whoever started it.
"""

import json
import os
import socket
import sys
import threading

import uvicorn
from llmock.chaos import StreamChaos
from llmock.main import create_app
from llmock.simulation import MockResponseSettings

# With no pause between chunks a whole stream is sent before any client can close it, and the verdict takes that for
# reading on.
CHUNK_DELAY_MS = 20


def end_with_input():
    """Ends the process when standard input closes."""
    sys.stdin.read()
    os._exit(0)


def main():
    app = create_app(
        responses=MockResponseSettings(response_style="static"),
        stream_chaos=StreamChaos(chunk_delay_ms=CHUNK_DELAY_MS),
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    threading.Thread(target=end_with_input, daemon=True).start()
    print(json.dumps({"base_url": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
