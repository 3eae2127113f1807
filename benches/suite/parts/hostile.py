"""Hostile clients: their effect on good clients, and on the memory of the server."""

import json
import subprocess
import time
from statistics import median

from suite import servers, text, tools
from suite.failure import Failure
from suite.processes import CpuMeter, resident_bytes
from suite.stage import files_allowed
from suite.tools import say

NAME = "hostile"
TITLE = "Hostile clients"
LIMITS_S = 240, 180

KINDS = {
    "slow": "slow: a byte of a head a second",
    "half": "half-open: half a head, then nothing",
    "nonreading": "non-reading: requests without end, no answer read",
}
# Good clients come first and stay: a server that is full of others refuses the next.
GOOD = 16
# A worst p99 may lie this much above that without hostile clients: the machine's own unrest.
UNHARMED = 1.5


def run(stage):
    """Good clients alone, then together with each kind of hostile ones."""
    wanted, seconds = stage.pick(10_000, 500), stage.pick(6, 1)
    allowed = files_allowed(wanted + 2000)
    count = min(wanted, allowed - 1000)
    history = stage.history(stage.pick(10_000, 1000))
    server = stage.start_upbeat("hostile", config=f"[limits]\nconnections = {count + 1000}\n")
    history.load(server)
    reply = servers.typical_reply(server, history.ids)
    floor = servers.start_floor(stage.processes, stage.cores, tools.PROGRAMS / "floor", reply, stage.folder)
    rate = stage.wrk(server, "decisions.lua", history.ids_file, stage.pick(2, 1)).per_s / 4
    good = lambda server: stage.openloop(server, history.ids_file, rate, seconds, connections=GOOD)
    data = {"rate": rate, "seconds": seconds, "wanted": wanted, "count": count, "alone": [good(server)],
            "floor_alone": [good(floor)], "kinds": {}, "floor": {}}
    for kind in KINDS:
        data["floor"][kind] = with_hostile(stage, floor, kind, count, seconds, good)
        data["kinds"][kind] = with_hostile(stage, server, kind, count, seconds, good)
        data["alone"].append(good(server))
        data["floor_alone"].append(good(floor))
    servers.metrics(server)
    return data


def with_hostile(stage, server, kind, count, seconds, good):
    """Latencies of good clients together with `count` hostile ones of a kind."""
    # Each non-reading client keeps the server busy until the sockets between them are full; 1,000 are enough.
    count = min(count, 1000) if kind == "nonreading" else count
    before = resident_bytes(server.pid)
    with CpuMeter(server.pid, stage.cores.server) as cpu:
        command = [tools.PROGRAMS / "hostile", server.port, kind, count, seconds + 2]
        process = stage.processes.start(["nice", "-n", "10", *command], core=stage.cores.load, stdin=subprocess.DEVNULL)
        if process.stdout.readline() != "connected\n":
            raise Failure(f"the {kind} clients did not connect")
        # They are all at work before the good ones are looked at.
        time.sleep(1)
        result = good(server)
        during = resident_bytes(server.pid)
        counts = json.loads(stage.processes.finish(process, seconds + 30))
    time.sleep(1)
    say(f"{server.name}, {count:,} {kind}: p99 {result['p99_us']:,.0f} µs")
    if server.process.poll() is not None:
        raise Failure(f"{server.name} has ended under {kind} clients")
    return {"good": result, "count": count, "counts": counts, "busy": cpu.busy,
            "resident": [before, during, resident_bytes(server.pid)]}


def page(data):
    fields = ("p50_us", "p99_us", "p999_us", "max_us")
    columns = ["hostile clients", "server", "p50, µs", "p99, µs", "p99.9, µs", "max, µs", "closed by it", "core busy",
               "resident, MiB"]
    rows = [
        ["none", name, *(text.spread([result[field] for result in data[alone]]) for field in fields), "–", "–", "–"]
        for name, alone in (("floor", "floor_alone"), ("upbeat", "alone"))
    ]
    for kind, what in KINDS.items():
        for name, of_kind in (("floor", data["floor"][kind]), ("upbeat", data["kinds"][kind])):
            mib = [f"{size / 2**20:,.0f}" for size in of_kind["resident"]]
            rows.append([f"{of_kind['count']:,} {what}", name,
                         *(text.figure(of_kind["good"][field]) for field in fields),
                         f"{of_kind['counts']['closed']:,}", f"{100 * of_kind['busy']:.0f} %", " → ".join(mib)])
    fewer = "" if data["count"] == data["wanted"] else (
        f" Only {data['count']:,}, since a process may open no more files here.")
    return [
        f"{GOOD} good clients ask for {data['rate']:,.0f} decisions a second in all (open loop, a quarter of saturation) "
        f"for {data['seconds']} s, together with hostile clients of one kind at a time (`benches/http/hostile.c`).{fewer} *floor* is the "
        "bare epoll loop under the same clients: what they cost the generator, with which they share a core, and the "
        "kernel. Core busy counts the good ones too; resident is before, meanwhile, and after.",
        "",
        *text.table(columns, rows),
    ]


def budgets(data):
    alone = median(result["p99_us"] for result in data["alone"])
    worst = max(of_kind["good"]["p99_us"] for of_kind in data["kinds"].values())
    bound = max(UNHARMED * alone, 1000)
    return [("p99 of good clients under hostile ones", f"≤ max(1 ms, {UNHARMED} × without) = {bound / 1000:.2f} ms",
             f"{worst / 1000:.2f} ms", worst <= bound)]
