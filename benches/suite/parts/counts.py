"""Costs that do not depend on how busy the machine is: instructions by callgrind, system calls by strace."""

import http.client
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

from suite import text
from suite.failure import Failure
from suite.processes import said
from suite.tools import say

NAME = "counts"
TITLE = "Instructions and system calls"
LIMITS_S = 150, 150
ENGINE = True

# Two runs of these lengths are subtracted, so that start and end do not count.
COUNTS = 2_000, 12_000
REQUESTS = 500, 2_500


def run(stage):
    """Counts with each tool that is installed."""
    data = {"left_out": []}
    if shutil.which("valgrind"):
        data["instructions"] = {what: instructions(stage, what) for what in ("cached", "recomputed", "apply")}
        say(f"instructions: {data['instructions']}")
    else:
        data["left_out"].append("instructions: valgrind is not installed")
    if shutil.which("strace"):
        data["system_calls"] = {what: system_calls(stage, what) for what in ("decision", "event")}
        say(f"system calls: {data['system_calls']}")
    else:
        data["left_out"].append("system calls: strace is not installed")
    for reason in data["left_out"]:
        say(f"skipped: {reason}")
    return data


def instructions(stage, what):
    """Instructions for each decision or event, without HTTP."""
    total = []
    for count in COUNTS:
        log = stage.folder / "callgrind.log"
        program = [stage.engine_benches / "instructions", what, count]
        out = f"--callgrind-out-file={stage.folder / 'callgrind.out'}"
        stage.processes.run(["valgrind", "--tool=callgrind", f"--log-file={log}", out, *program], 60)
        total.append(int(re.search(r"Collected : (\d+)", log.read_text())[1]))
    return (total[1] - total[0]) / (COUNTS[1] - COUNTS[0])


def system_calls(stage, what):
    """Calls of each kind for each request on one keep-alive connection."""
    few, many = (traced(stage, what, count) for count in REQUESTS)
    more = {name: (many[name] - few.get(name, 0)) / (REQUESTS[1] - REQUESTS[0]) for name in many}
    return {name: count for name, count in more.items() if count >= 0.005}


def traced(stage, what, count):
    """Calls of the whole server from its start to its end."""
    log, table = stage.folder / "traced.log", stage.folder / "strace.txt"
    flags = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--workers", "1"]
    flags += ["--data-dir", stage.folder / "traced-data"]
    command = ["strace", "-f", "-c", "-U", "name,calls", "-o", table, stage.upbeat, "serve", *flags]
    process = stage.processes.serve(command, core=None, log=log)
    port = int(said(process, "data", log, timeout_s=40).rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for number in range(count):
        if what == "event":
            connection.request("POST", "/events", play(number), {"Content-Type": "application/json"})
        else:
            connection.request("GET", f"/should-show-ad/{number % 7}")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise Failure(f"a {what} was answered {answer.status}")
    connection.close()
    # strace sums up once the server that it started has ended.
    [server] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(server), signal.SIGTERM)
    process.wait(20)
    stage.processes.running.remove(process)
    calls = {}
    for line in table.read_text().splitlines():
        parts = line.split()
        if len(parts) == 2 and parts[1].isdecimal() and parts[0] != "total":
            calls[parts[0]] = int(parts[1])
    return calls


def play(number):
    """One play of one of a few customers, timed now."""
    return json.dumps({
        "type": "play", "event_id": number, "customer_id": number % 7, "track_id": 1,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "mobile": True, "zip": "10234",
    })


def page(data):
    lines = [*(f"Left out: {reason}." for reason in data["left_out"])]
    if "instructions" in data:
        what = {"cached": "decision, score cached", "recomputed": "decision, score recomputed (40 plays, linear model)",
                "apply": "apply a play (to about 40 others)"}
        rows = [[label, f"{data['instructions'][name]:,.0f}"] for name, label in what.items()]
        lines += ["Instructions without HTTP, by callgrind, the difference of two runs.", "",
                  *text.table(["what", "instructions"], rows), ""]
    if "system_calls" in data:
        rows = []
        for what, calls in data["system_calls"].items():
            listed = ", ".join(f"{name} {count:.2f}" for name, count in sorted(calls.items(), key=lambda item: -item[1]))
            rows.append([f"`{'GET /should-show-ad/{id}' if what == 'decision' else 'POST /events'}`",
                         f"{sum(calls.values()):.2f}", listed])
        lines += ["System calls of the whole server for each request of one keep-alive connection that waits for each "
                  "answer, by strace, the difference of two runs. Allocations are counted by tests.", "",
                  *text.table(["request", "calls", "which"], rows)]
    return lines


def budgets(_data):
    return []
