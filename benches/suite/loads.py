"""The loads: the arguments of each generator, and its results. A failed request fails the run."""

import csv
import io
import json
import subprocess
from dataclasses import dataclass

from suite.failure import Failure
from suite.processes import CpuMeter
from suite.servers import redis_hits
from suite.tools import BENCHES

CONNECTIONS = 32
# A request that takes longer counts as failed.
REQUEST_TIMEOUT = "2s"
# Beyond its time a generator gets so long to start and to sum up.
GRACE_S = 30


@dataclass
class Sample:
    """One run of one load against one server. Latencies as the client saw them."""

    requests: int
    per_s: float
    cpu_us: float
    busy: float
    others: float
    p50_us: float
    p99_us: float
    p999_us: float | None
    max_us: float
    # Requests among them that wrote something, where the load says.
    writes: int = 0


def wrk(processes, cores, server, script, ids, seconds, connections=CONNECTIONS):
    """A closed loop: each connection sends its next request when its last is answered."""
    flags = ["-t", "1", "-c", connections, "-d", f"{seconds}s", "--timeout", REQUEST_TIMEOUT, "-s", script]
    with CpuMeter(server.pid, cores.server) as cpu:
        command = ["wrk", *flags, server.url, "--", ids, connections]
        output = processes.run(command, seconds + GRACE_S, core=cores.load, cwd=BENCHES / "http")
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise Failure(f"wrk {script} gave no result:\n{output}")
    result = json.loads(lines[-1].removeprefix("RESULT "))
    failed = {kind: count for kind, count in result["failed"].items() if count}
    if failed or not result["requests"]:
        raise Failure(f"wrk {script} against {server.name}: {result['requests']} requests, failed: {failed}")
    requests = result["requests"]
    return Sample(
        requests=requests,
        per_s=requests / result["duration_us"] * 1e6,
        cpu_us=cpu.us_per(requests),
        busy=cpu.busy,
        others=cpu.others,
        p50_us=result["p50_us"],
        p99_us=result["p99_us"],
        p999_us=result["p999_us"],
        max_us=result["max_us"],
        writes=result["counted"],
    )


def oha(processes, cores, server, program, urls, rate, seconds):
    """An open loop: a request is due every 1/rate seconds and its latency counts from then, answered or not."""
    count = int(rate * seconds)
    flags = ["-n", count, "-q", f"{rate:.0f}", "--latency-correction", "-c", CONNECTIONS, "-t", REQUEST_TIMEOUT]
    quiet = ["--no-tui", "--output-format", "json", "--worker-threads", "1"]
    with CpuMeter(server.pid, cores.server) as cpu:
        command = [program, *flags, *quiet, "--urls-from-file", urls]
        result = json.loads(processes.run(command, 3 * seconds + GRACE_S, core=cores.load))
    answered = result["statusCodeDistribution"]
    if answered != {"200": count} or result["errorDistribution"]:
        failed = {**answered, **result["errorDistribution"]}
        raise Failure(f"oha against {server.name}: of {count} requests not all were answered 200: {failed}")
    latency_s = result["latencyPercentiles"]
    return Sample(
        requests=count,
        per_s=result["summary"]["requestsPerSec"],
        cpu_us=cpu.us_per(count),
        busy=cpu.busy,
        others=cpu.others,
        p50_us=latency_s["p50"] * 1e6,
        p99_us=latency_s["p99"] * 1e6,
        p999_us=latency_s["p99.9"] * 1e6,
        max_us=result["summary"]["slowest"] * 1e6,
    )


def redis_benchmark(processes, cores, server, customers, seconds, rate):
    """GET of random keys by redis-benchmark, a closed loop like wrk's; about `seconds` long at `rate`."""
    count = max(int(rate * seconds), 1)
    flags = ["-h", "127.0.0.1", "-p", server.port, "-c", CONNECTIONS, "-n", count, "-r", customers, "--csv"]
    hits_before = redis_hits(server.port)
    with CpuMeter(server.pid, cores.server) as cpu:
        command = ["redis-benchmark", *flags, "GET", "key:__rand_int__"]
        output = processes.run(command, 10 * seconds + GRACE_S, core=cores.load)
    hits = redis_hits(server.port) - hits_before
    rows = list(csv.DictReader(io.StringIO(output)))
    if hits != count or len(rows) != 1:
        raise Failure(f"redis-benchmark: of {count} GETs {hits} found their key:\n{output}")
    [row] = rows
    return Sample(
        requests=count,
        per_s=float(row["rps"]),
        cpu_us=cpu.us_per(count),
        busy=cpu.busy,
        others=cpu.others,
        p50_us=float(row["p50_latency_ms"]) * 1e3,
        p99_us=float(row["p99_latency_ms"]) * 1e3,
        p999_us=None,
        max_us=float(row["max_latency_ms"]) * 1e3,
    )


def openloop(
    processes, cores, server, program, ids, rate, seconds, events_per_s=0, connections=CONNECTIONS, during=None
):
    """An open loop of our own: see benches/http/openloop.c. `during(mark)` runs meanwhile; mark(name) marks one."""
    command = [program, server.port, ids, f"{rate:.1f}", seconds, connections, events_per_s]
    with CpuMeter(server.pid, cores.server) as cpu:
        generator = processes.start(command, core=cores.load, stdin=subprocess.PIPE)

        def mark(name):
            generator.stdin.write(name + "\n")
            generator.stdin.flush()

        if during:
            during(mark)
        result = json.loads(processes.finish(generator, seconds + GRACE_S))
    result["cpu_us"] = cpu.us_per(result["answered"])
    return result


def closedloop(processes, cores, server, program, ids, form, seconds, connections, log):
    """Single events, or Redis's SET of the same bytes, each sent when the last is answered: benches/http/closedloop.c."""
    command = [program, server.port, ids, form, seconds, connections]
    with CpuMeter(server.pid, cores.server) as cpu:
        result = json.loads(processes.run(command, seconds + GRACE_S, core=cores.load, log=log))
    result["cpu_us"] = cpu.us_per(result["answered"])
    result["server_busy"], result["others"] = cpu.busy, cpu.others
    return result
