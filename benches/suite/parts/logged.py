"""What the log costs a decision: instructions, system calls of the event loop, CPU beside the bare epoll loop."""

import http.client
import re
import shutil
import signal
import time
from pathlib import Path
from statistics import median

from suite import servers, showing, text, tools
from suite.failure import Failure
from suite.stage import disk_of, lanes
from suite.tools import say

NAME = "logged"
TITLE = "A decision with the log on"
LIMITS_S = 400, 180
ENGINE = True

# Shares of decisions that show the ad.
SHARES = 0.002, 0.3
# Two runs of these lengths are subtracted, so that start and end do not count.
COUNTS, BRIEF_COUNTS = (2_000, 12_000), (200, 1_200)
SERVERS = "memory", "log"
EVENT_LOOP = "decide-0"


def run(stage):
    """Counts with each tool that is installed, and closed loops in turn."""
    disk_of(stage)
    data = {"left_out": []}
    if shutil.which("valgrind"):
        data["instructions"] = {
            str(share): {name: instructions(stage, name, share) for name in SERVERS} for share in SHARES
        }
        say(f"instructions: {data['instructions']}")
    else:
        data["left_out"].append("instructions: valgrind is not installed")
    with lanes(stage) as lanes_folder:
        bench = Bench(stage, stage.history(stage.pick(250_000, 1_000)), lanes_folder)
        data["customers"] = bench.history.customers
        if shutil.which("strace"):
            data["system_calls"] = bench.system_calls(stage.pick(5_000, 500))
        else:
            data["left_out"].append("system calls: strace is not installed")
        data |= bench.closed_loops(stage.pick(3, 1), stage.pick(3, 1))
    return data


def instructions(stage, name, share):
    """Instructions for each decision, without HTTP."""
    few, many = counts = stage.pick(COUNTS, BRIEF_COUNTS)
    # Threads that wait for each other while the log is opened add some at times: the least is what all runs have.
    least = {count: min(collected(stage, name, share, count) for _ in range(stage.pick(3, 1))) for count in counts}
    return (least[many] - least[few]) / (many - few)


def collected(stage, name, share, count):
    """Instructions of a whole run with so many decisions."""
    log = stage.folder / "callgrind.log"
    program = [stage.engine_benches / "instructions", "cached", count, name, round(1000 * share)]
    out = f"--callgrind-out-file={stage.folder / 'callgrind.out'}"
    stage.processes.run(["valgrind", "--tool=callgrind", f"--log-file={log}", out, *program], 60)
    return int(re.search(r"Collected : (\d+)", log.read_text())[1])


class Bench:
    """A server with a log and one without for each share that is shown, and the floor."""

    def __init__(self, stage, history, lanes_folder):
        self.stage, self.history, self.servers = stage, history, {}
        for share, campaign in zip(SHARES, showing.campaigns(stage, history, SHARES)):
            for name in SERVERS:
                log = f'lanes_dir = "{lanes_folder}"\n' if name == "log" else ""
                server = stage.start_upbeat(f"{name}-{share}", config=log + campaign, in_memory=name == "memory")
                say(f"loading {history.plays:,} plays: {server.name}")
                history.load(server)
                self.servers[share, name] = server
        reply = servers.typical_reply(self.servers[SHARES[0], "memory"], history.ids[:200])
        self.floor = servers.start_floor(stage.processes, stage.cores, tools.PROGRAMS / "floor", reply, stage.folder)

    def system_calls(self, count):
        """Calls of the event loop's thread for each of `count` requests, of each kind."""
        found = {}
        for (share, name), server in self.servers.items():
            calls = traced(self.stage, server, self.history.ids[:count])
            found.setdefault(str(share), {})[name] = {call: number / count for call, number in calls.items()}
        say(f"system calls: {found}")
        return found

    def closed_loops(self, rounds, seconds):
        """CPU for each decision, everybody in turn."""
        loops, shown = {"floor": []}, {}
        before = {key: servers.metrics(server) for key, server in self.servers.items()}
        for turn in range(rounds):
            turns = [("floor", self.floor), *((f"{name}, {share}", server) for (share, name), server in self.servers.items())]
            for name, server in turns:
                sample = self.stage.wrk(server, "decisions.lua", self.history.ids_file, seconds)
                loops.setdefault(name, []).append(vars(sample))
                say(f"logged {turn + 1}/{rounds}, {name}: {sample.per_s:,.0f}/s, {sample.cpu_us:.2f} µs CPU")
        for (share, name), server in self.servers.items():
            counts = servers.changed(before[share, name], servers.metrics(server), "upbeat_decisions_total")
            total = sum(counts.values()) or 1
            by_reason = {re.search(r'"(\w+)"', metric)[1]: count / total for metric, count in counts.items()}
            shown[f"{name}, {share}"] = by_reason["likely_to_click"]
            if by_reason["log_unavailable"]:
                raise Failure(f"{server.name}: {by_reason['log_unavailable']:.2%} of shows found no log")
        return {"rounds": rounds, "seconds": seconds, "loops": loops, "shown": shown}


def traced(stage, server, ids):
    """Calls of the thread of the event loop while one keep-alive connection asks about each of these."""
    threads = [task for task in Path(f"/proc/{server.pid}/task").iterdir() if name_of(task) == EVENT_LOOP]
    if len(threads) != 1:
        raise Failure(f"{server.name} has {len(threads)} threads named {EVENT_LOOP}")
    table, log = stage.folder / "strace.txt", stage.folder / "strace.log"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    ask(connection, ids[0])
    log.write_text("")
    command = ["strace", "-c", "-U", "name,calls", "-o", table, "-p", threads[0].name]
    process = stage.processes.serve(command, core=None, log=log)
    wait_for(lambda: "attached" in log.read_text(), "strace")
    for customer in ids:
        ask(connection, customer)
    process.send_signal(signal.SIGINT)
    process.wait(20)
    stage.processes.running.remove(process)
    connection.close()
    lines = (line.split() for line in table.read_text().splitlines())
    return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdecimal() and line[0] != "total"}


def name_of(task):
    """The name of a thread; none of one that has ended meanwhile."""
    try:
        return (task / "comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_for(is_so, what):
    """Until something is so, at most ten seconds."""
    deadline = time.monotonic() + 10
    while not is_so():
        if time.monotonic() > deadline:
            raise Failure(f"{what} is not ready after 10 s")
        time.sleep(0.01)


def ask(connection, customer):
    connection.request("GET", f"/should-show-ad/{customer}")
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise Failure(f"a decision was answered {answer.status}")


# --- The page --------------------------------------------------------------------------------------------------------


def instruction_ratio(data, share):
    counts = data["instructions"][str(share)]
    return counts["log"] / counts["memory"]


def calls(data, share, name):
    return sum(data["system_calls"][str(share)][name].values())


def cpu_ratios(data, share, name, base):
    """Round by round: CPU for each decision by another's."""
    samples = data["loops"]
    return [one["cpu_us"] / other["cpu_us"] for one, other in zip(samples[f"{name}, {share}"], samples[base])]


def page(data):
    lines = [*(f"Left out: {reason}." for reason in data["left_out"])]
    rows = []
    for share in SHARES:
        percent = f"{share:.1%}"
        if "instructions" in data:
            counts = data["instructions"][str(share)]
            rows.append([f"{percent} shown: instructions without HTTP", f"{counts['memory']:,.1f}", f"{counts['log']:,.1f}",
                         f"{instruction_ratio(data, share):.3f}"])
        if "system_calls" in data:
            numbers = [calls(data, share, name) for name in SERVERS]
            rows.append([f"{percent} shown: system calls of the event loop", *(f"{number:.3f}" for number in numbers),
                         f"{numbers[1] / numbers[0]:.3f}"])
        cpu = [text.spread([sample["cpu_us"] for sample in data["loops"][f"{name}, {share}"]]) for name in SERVERS]
        rows.append([f"{percent} shown: CPU/request over HTTP, µs", *cpu,
                     text.spread(cpu_ratios(data, share, "log", f"memory, {share}"))])
    by_floor = [[f"{share:.1%} shown, {what}", text.spread(cpu_ratios(data, share, name, "floor"))]
                for share in SHARES for name, what in (("memory", "no log"), ("log", "with the log"))]
    measured = ", ".join(f"{share:.2%}" for share in data["shown"].values())
    listed = []
    if "system_calls" in data:
        listed = [", ".join(f"{call} {number:.2f}" for call, number in sorted(data["system_calls"][str(SHARES[1])]["log"].items()))]
    return [
        *lines,
        "Instructions by callgrind, the difference of two runs, the least of three (`benches/engine/src/bin/instructions.rs`); system calls of the "
        f"thread of the event loop by strace, for each request of one keep-alive connection; CPU of the whole server, with all "
        f"threads of the log, in closed loops with wrk, {data['rounds']} rounds of {data['seconds']} s, "
        f"{data['customers']:,} customers. The threshold is chosen for the share that is shown, and the cap so that it stops none "
        f"(measured: {measured}).",
        "",
        *text.table(["what", "no log", "with the log", "ratio"], rows),
        "",
        *text.table(["CPU/request by the floor's", "round by round"], by_floor),
        *(["", f"Calls with the log, {SHARES[1]:.0%} shown: {listed[0]}."] if listed else []),
    ]


def budgets(data):
    rows = []
    if "instructions" in data:
        ratio = instruction_ratio(data, SHARES[0])
        rows.append((f"instructions of a decision with the log on, {SHARES[0]:.1%} shown, by off", "≤ 1.02", f"{ratio:.3f}",
                     ratio <= 1.02))
    if "system_calls" in data:
        for share in SHARES:
            off, on = (calls(data, share, name) for name in SERVERS)
            rows.append((f"system calls of a decision with the log on, {share:.1%} shown", f"{off:.2f}, as off", f"{on:.2f}",
                         round(on, 2) == round(off, 2)))
    for share in SHARES:
        ours, floor = (median(sample["cpu_us"] for sample in data["loops"][name]) for name in (f"log, {share}", "floor"))
        ratio = ours / floor
        rows.append((f"CPU of a decision with the log on, {share:.1%} shown, by a bare epoll loop's", "≤ 1.15", f"{ratio:.2f}",
                     ratio <= 1.15))
    return rows
