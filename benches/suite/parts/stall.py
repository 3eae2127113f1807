"""Decisions, three in ten shown, while snapshots are written, the disk is busy, or its syncs do not return."""

import contextlib
import re
import signal
import threading
import time
from statistics import median

from suite import servers, showing, text, tools
from suite.failure import Failure
from suite.stage import disk_of, lanes
from suite.tools import say

NAME = "stall"
TITLE = "Decisions while the disk is busy"
LIMITS_S = 600, 150

# Of all decisions, so many show the ad.
SHOWN, SHOWN_WITHIN = 0.3, 0.05
# A p99.9 that is the same but for the noise of such a figure; beside a snapshot the budget says so.
SAME = 1.2
# An acknowledgement's p99 beside a snapshot.
ACK = 3
CONNECTIONS = 32
CATCH_UP_S = 30

# Never, and all the time.
SNAPSHOTS = {"log": "1TiB", "snapshots": "64KiB"}


def run(stage):
    """The same load on servers without a log, with one, and with one that is always writing a snapshot, in turn."""
    disk_of(stage)
    customers, rounds, seconds = stage.pick(250_000, 1_000), stage.pick(3, 1), stage.pick(6, 1)
    with lanes(stage) as lanes_folder:
        stall = Stall(stage, stage.history(customers), lanes_folder, seconds)
        stall.start()
        rate = stall.saturation() / 2
        for turn in range(rounds):
            for name, act in stall.turns(rate).items():
                result = act()
                stall.rounds.setdefault(name, []).append(result)
                say(f"stall {turn + 1}/{rounds}, {name}: p99.9 {result['p999_us']:,.0f} µs, {result['shown']:.1%} shown")
            for name in ("log", "snapshots"):
                sample = stall.acknowledgements(name)
                stall.acks.setdefault(name, []).append(sample)
                say(f"stall {turn + 1}/{rounds}, acknowledgements, {name}: p99 {sample['p99_us']:,.0f} µs")
        stall.servers["snapshots"].process.send_signal(signal.SIGCONT)
        return {"customers": customers, "rate": rate, "seconds": seconds, "rounds": stall.rounds, "acks": stall.acks}


class Stall:
    """The servers, and what is done beside them."""

    def __init__(self, stage, history, lanes_folder, seconds):
        self.stage, self.history, self.lanes, self.seconds = stage, history, lanes_folder, seconds
        self.slow, self.delay_s = stage.folder / "slow-sync", stage.pick(5, 1)
        self.rounds, self.acks = {}, {}

    def start(self):
        """All servers, with the threshold that shows the ad to three in ten."""
        campaign = showing.campaign(self.stage, self.history, SHOWN)
        shim = tools.build_preload("slow_sync")
        self.servers = {"memory": self.stage.start_upbeat("stall-memory", config=campaign, in_memory=True)}
        for name, snapshot_bytes in SNAPSHOTS.items():
            config = f'lanes_dir = "{self.lanes}"\n[journal]\nsnapshot_bytes = "{snapshot_bytes}"\n{campaign}'
            slow = [f"LD_PRELOAD={shim}", f"SLOW_SYNC={self.slow}", f"SLOW_SYNC_S={self.delay_s}"] if name == "log" else []
            self.servers[name] = self.stage.start_upbeat(f"stall-{name}", config=config, environment=slow)
        for name, server in self.servers.items():
            say(f"loading {self.history.plays:,} plays: {name}")
            self.history.load(server)
        self.pause()

    def saturation(self):
        """Decisions a second of a closed loop."""
        return self.stage.wrk(self.servers["memory"], "decisions.lua", self.history.ids_file, self.stage.pick(3, 1)).per_s

    def turns(self, rate):
        """What is measured in each round, and how."""
        alone = contextlib.nullcontext
        turn = lambda name, beside: lambda: self.decisions(name, rate, beside)
        return {
            "memory": turn("memory", alone),
            "log": turn("log", alone),
            "log, snapshots": turn("snapshots", self.going_on),
            "memory, dd": turn("memory", self.dd),
            "log, dd": turn("log", self.dd),
            "log, syncs delayed": turn("log", self.slow_syncs),
            "log, syncs delayed, dd": turn("log", lambda: self.both(self.slow_syncs, self.dd)),
        }

    def decisions(self, name, rate, beside):
        """An open loop of decisions beside something else; how many were shown, and how many were not for want of a log."""
        server = self.servers[name]
        with beside():
            before = servers.metrics(server)
            result = self.stage.openloop(server, self.history.ids_file, rate, self.seconds, connections=CONNECTIONS)
            after = servers.metrics(server)
            is_slow = self.slow.exists()
        counts = servers.changed(before, after, "upbeat_decisions_total")
        of = lambda reason: counts[f'upbeat_decisions_total{{reason="{reason}"}}'] / result["answered"]
        result["shown"], result["unavailable"] = of("likely_to_click"), of("log_unavailable")
        grown = lambda metric: after.get(metric, 0) - before.get(metric, 0)
        result["snapshots"] = grown("upbeat_journal_snapshots_total")
        result["snapshots_s"] = self.snapshot_seconds(server, int(result["snapshots"]))
        result["syncs"] = grown("upbeat_journal_sync_seconds_count")
        if is_slow and result["syncs"] * self.delay_s > self.seconds + self.delay_s:
            raise Failure(f"syncs should take {self.delay_s} s, and {result['syncs']:.0f} returned in {self.seconds} s")
        if not self.stage.quick and abs(result["shown"] + result["unavailable"] - SHOWN) > SHOWN_WITHIN:
            raise Failure(f"{name}: {result['shown']:.1%} of decisions were shown, not {SHOWN:.0%}")
        del result["slices_us"], result["marks"]
        return result

    def snapshot_seconds(self, server, count):
        """How long the last so many snapshots took in all, as the server has logged it."""
        log = (self.stage.folder / f"{server.name}.log").read_text()
        times = [float(took) for took in re.findall(r"snapshot written .*took_s=([0-9.]+)", log)]
        return sum(times[-count:]) if count else 0

    def acknowledgements(self, name):
        """Single events, each acknowledged once it is on the disk, with or without a snapshot beside it."""
        server = self.servers[name]
        with self.going_on() if name == "snapshots" else contextlib.nullcontext():
            before = servers.metrics(server)
            result = self.stage.closedloop(server, self.history.ids_file, "events", self.stage.pick(4, 1), CONNECTIONS)
            after = servers.metrics(server)
        result["snapshots"] = after["upbeat_journal_snapshots_total"] - before["upbeat_journal_snapshots_total"]
        return result

    def pause(self):
        """The server that writes snapshots is stopped while others are measured: it would go on for a while."""
        self.servers["snapshots"].process.send_signal(signal.SIGSTOP)

    @contextlib.contextmanager
    def going_on(self):
        """The server that writes snapshots goes on, and is in the midst of them from the begin."""
        server = self.servers["snapshots"]
        server.process.send_signal(signal.SIGCONT)
        # Decisions that are shown make the log grow, so that snapshots are due.
        self.stage.openloop(server, self.history.ids_file, 10_000, 0.5)
        try:
            yield
        finally:
            self.pause()

    @contextlib.contextmanager
    def dd(self):
        """Files of 1 GiB written to the same disk, one after the other, from the load's core."""
        path = self.stage.folder / "dd"
        command = ["dd", "if=/dev/zero", f"of={path}", "bs=1M", f"count={self.stage.pick(1024, 64)}", "conv=fdatasync"]
        ending, failed = threading.Event(), []

        def write():
            while not ending.is_set():
                process = self.stage.processes.start(command, core=self.stage.cores.load)
                while process.poll() is None and not ending.wait(0.01):
                    pass
                self.stage.processes.stop(process)
                if process.returncode > 0:
                    failed.append(process.returncode)
                    return

        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(0.2)
        try:
            yield
        finally:
            ending.set()
            writer.join()
            path.unlink(missing_ok=True)
            # What the kernel still has to write is given up with the file, but for what is on its way.
            time.sleep(0.5)
        if failed:
            raise Failure(f"dd ended with status {failed[0]}")

    @contextlib.contextmanager
    def slow_syncs(self):
        """Each sync of the log takes seconds more; at the end the log catches up."""
        server = self.servers["log"]
        self.slow.touch()
        try:
            yield
        finally:
            self.slow.unlink()
            deadline = time.monotonic() + CATCH_UP_S
            while servers.metrics(server)["upbeat_journal_lag_records"] > 0:
                if time.monotonic() > deadline:
                    raise Failure(f"the log has not caught up {CATCH_UP_S} s after its syncs were slow")
                time.sleep(0.1)

    @contextlib.contextmanager
    def both(self, *besides):
        """Several at once."""
        with contextlib.ExitStack() as stack:
            for beside in besides:
                stack.enter_context(beside())
            yield


# --- The page --------------------------------------------------------------------------------------------------------

WHAT = {
    "memory": "no log (`--in-memory`)",
    "log": "a log",
    "log, snapshots": "a log, and snapshots one after the other",
    "memory, dd": "no log, `dd` of 1 GiB beside it, again and again",
    "log, dd": "a log, the same `dd` beside it",
    "log, syncs delayed": "a log whose syncs take 5 s more",
    "log, syncs delayed, dd": "both: its syncs take 5 s more, and `dd` beside it",
}
# What each is compared with.
BESIDE = {
    "log": "memory", "log, snapshots": "log", "log, dd": "memory, dd", "log, syncs delayed": "memory",
    "log, syncs delayed, dd": "memory, dd",
}


def of(data, name, field):
    """A figure of each round."""
    return [result[field] for result in data["rounds"][name]]


def ratios(data, name, field="p999_us"):
    """Round by round: a figure by that of what it is compared with."""
    return [one / other for one, other in zip(of(data, name, field), of(data, BESIDE[name], field))]


def ack_ratios(data):
    return [one["p99_us"] / other["p99_us"] for one, other in zip(data["acks"]["snapshots"], data["acks"]["log"])]


def page(data):
    rows = []
    for name, what in WHAT.items():
        times = [text.spread(of(data, name, field)) for field in ("cpu_us", "p50_us", "p99_us", "p999_us", "max_us")]
        by = text.spread(ratios(data, name)) if name in BESIDE else "–"
        shares = [text.spread([100 * share for share in of(data, name, field)]) + " %" for field in ("shown", "unavailable")]
        rows.append([what, *times, by, *shares])
    ack = lambda name, field, digits=3: text.spread([one[field] for one in data["acks"][name]], digits)
    acks = [[what, ack(name, "per_s", 4), ack(name, "p99_us")]
            for name, what in (("log", "no snapshot"), ("snapshots", "snapshots one after the other"))]
    snapshots = data["rounds"]["log, snapshots"]
    written = text.spread([result["snapshots"] for result in snapshots])
    took = text.spread([result["snapshots_s"] for result in snapshots])
    return [
        f"`benches/http/openloop.c` asks for {data['rate']:,.0f} decisions a second, half of what a closed loop reached, over "
        f"{CONNECTIONS} connections; a latency counts from when its request was due. Rounds of {data['seconds']} s: "
        f"{len(data['rounds']['log'])}, in turn; {data['customers']:,} customers. The threshold is chosen so that three in ten "
        "decisions show the ad, and the cap so that it stops none: each show is a record of the log. Servers are on one core with "
        "all their threads, generator and `dd` on the other, where the generator comes first. Ratios are to the same without a "
        "log, and of snapshots to a log without them. Syncs are delayed by a library preloaded into the server "
        f"(`benches/suite/preload/slow_sync.c`). Snapshots that ended within a round: {written}, which took {took} s "
        "in all.",
        "",
        *text.table(["server", "CPU/request, µs", "p50, µs", "p99, µs", "p99.9, µs", "max, µs", "p99.9, ratio", "shown",
                     "not shown for want of a log"], rows),
        "",
        f"Acknowledgements of single events, closed loop with {CONNECTIONS} connections:",
        "",
        *text.table(["beside", "events/s", "p99, µs"], acks),
        "",
        f"p99 beside snapshots by that without, round by round: {text.spread(ack_ratios(data))}.",
    ]


def budgets(data):
    rows = []
    names = {"log, snapshots": "beside a snapshot, by without", "log": "with a log, by none",
             "log, dd": "with a log beside `dd`, by none beside `dd`",
             "log, syncs delayed": "with every sync 5 s late, by no log",
             "log, syncs delayed, dd": "with every sync 5 s late and `dd`, by no log and `dd`"}
    for name, what in names.items():
        ratio, refused = median(ratios(data, name)), max(of(data, name, "unavailable"))
        missing = f", {refused:.2%} not shown for want of a log" if refused else ""
        rows.append((f"`GET` p99.9 with three in ten shown, {what}", f"≤ {SAME}", f"{ratio:.2f}{missing}",
                     ratio <= SAME and not refused))
    ratio = median(ack_ratios(data))
    rows.append(("acknowledgement p99 beside a snapshot, by without", f"≤ {ACK}", f"{ratio:.2f}", ratio <= ACK))
    return rows
