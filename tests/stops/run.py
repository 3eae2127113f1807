#!/usr/bin/env python3
"""Stops a busy server many times and counts the requests that its clients lose; status 1 if there are any.

    tests/stops/run.py --stops 50 [--binary target/release/upbeat] [--drain-ms 1000]

The clients are Python's http.client, node's keep-alive agent and wrk; one that is not installed is skipped, and said so.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
LONGEST_S = 120
# How long the clients are at it before the stop.
BUSY_S = 1


def start(binary: str, drain_ms: int) -> tuple[subprocess.Popen, int]:
    """A server on free ports, and the port of its data listener."""
    server = subprocess.Popen(
        [binary, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--in-memory"],
        env=os.environ | {"UPBEAT_SHUTDOWN_DRAIN": f"{drain_ms}ms", "UPBEAT_LOG_LEVEL": "warn"},
        stdout=subprocess.PIPE,
        text=True,
    )
    return server, int(server.stdout.readline().rsplit(":", 1)[1])


def commands(port: int, drain_ms: int) -> dict[str, list[str]]:
    """The clients that are installed, by name."""
    # wrk outlasts the server; it ends by its own clock.
    wrk_s = BUSY_S + drain_ms // 1000 + 2
    every = {
        "http.client": [sys.executable, str(HERE / "clients.py"), str(port)],
        "node": ["node", str(HERE / "clients.mjs"), str(port)],
        "wrk": ["wrk", "-t1", "-c32", f"-d{wrk_s}s", f"http://127.0.0.1:{port}/should-show-ad/48?dry_run=true"],
    }
    return {name: command for name, command in every.items() if shutil.which(command[0])}


def read(name: str, said: str) -> dict:
    """What a client counted."""
    if name != "wrk":
        return json.loads(said)
    # A lost request is a read that fails or finds the end. Once the server is gone, wrk counts each refused connection as
    # a failed write. It does not count announcements.
    errors = re.search(r"read (\d+), write \d+, timeout (\d+)", said)
    lost = [f"{errors[0]} errors"] if errors and any(map(int, errors.groups())) else []
    lost += re.findall(r"Non-2xx.*", said)
    return {"answered": int(re.search(r"(\d+) requests in", said)[1]), "announced": None, "lost": lost}


def stop_once(binary: str, drain_ms: int) -> dict[str, dict]:
    """Starts a server and its clients, stops it, and returns what each client counted."""
    server, port = start(binary, drain_ms)
    clients = {}
    try:
        for name, command in commands(port, drain_ms).items():
            clients[name] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        time.sleep(BUSY_S)
        server.send_signal(signal.SIGTERM)
        status = server.wait(LONGEST_S)
        counts = {name: read(name, client.communicate(timeout=LONGEST_S)[0]) for name, client in clients.items()}
    finally:
        for process in [server, *clients.values()]:
            process.kill()
            process.wait()
    if status != 0:
        raise SystemExit(f"the server ended with status {status}")
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--binary", default="target/release/upbeat")
    parser.add_argument("--drain-ms", type=int, default=1000)
    args = parser.parse_args()
    for name in {"http.client", "node", "wrk"} - commands(0, 0).keys():
        print(f"skipped: {name} is not installed")
    lost, sums = 0, {}
    for number in range(1, args.stops + 1):
        for name, count in stop_once(args.binary, args.drain_ms).items():
            for what in count["lost"]:
                print(f"stop {number}: {name}: {what}")
            lost += len(count["lost"])
            answered, announced = sums.get(name, (0, 0))
            sums[name] = (answered + count["answered"], announced + (count["announced"] or 0))
    for name, (answered, announced) in sums.items():
        print(f"{name}: {answered} answers, {announced} of them with the close announced")
        # Otherwise the stops did not meet busy clients.
        assert answered > 0 and (announced > 0 or name == "wrk"), f"{name} was not busy"
    print(f"{lost} lost over {args.stops} stops")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
