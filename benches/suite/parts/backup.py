"""What a backup under way costs decisions: latencies at half of saturation with one and without, in turn."""

import shutil
import subprocess
from statistics import median

from suite import servers, text
from suite.failure import Failure
from suite.stage import disk_of, lanes
from suite.tools import say

NAME = "backup"
TITLE = "A backup under way"
LIMITS_S = 600, 180

# Plays written meanwhile, in both.
EVENTS_PER_S = 20_000
# What decisions may feel of it, as a ratio.
BUDGET = 1.2
# A backup that is slower than this has stopped.
LONGEST_S = 240


def run(stage):
    """Rounds in pairs: nothing but the load, and the same with a backup that lasts longer than the round."""
    disk = disk_of(stage)
    customers, seconds, rounds = stage.pick(1_000_000, 2_000), stage.pick(8, 3), stage.pick(5, 1)
    history = stage.history(customers)
    results = {"without": [], "with": []}
    backups = []
    with lanes(stage) as lanes_folder:
        server = stage.start_upbeat("backup", config=f'lanes_dir = "{lanes_folder}"\n')
        say(f"loading {history.plays:,} plays")
        history.load(server)
        rate = stage.wrk(server, "decisions.lua", history.ids_file, stage.pick(3, 1)).per_s / 2
        for turn in range(rounds):
            # Whatever changes in the course of the run, as snapshots do, is in as many first as second places.
            for name in ("without", "with") if turn % 2 == 0 else ("with", "without"):
                backup = Backup(stage, server, turn) if name == "with" else None
                result = stage.openloop(server, history.ids_file, rate, seconds, events_per_s=EVENTS_PER_S)
                if backup:
                    result["outlasted"] = backup.is_running()
                    backups.append(backup.finish())
                results[name].append(result)
                say(f"backup {turn + 1}/{rounds}, {name}: p99.9 {result['p999_us']:,.0f} µs, max {result['max_us']:,.0f} µs")
        finished = servers.metrics(server)['upbeat_backups_total{outcome="finished"}']
    if finished != rounds:
        raise Failure(f"{finished:.0f} of {rounds} backups were finished")
    return {"disk": disk, "customers": customers, "rate": rate, "seconds": seconds, "rounds": results, "backups": backups}


class Backup:
    """`upbeat backup` of a server, from the load's core: it asks for no more of the server's than its sockets."""

    def __init__(self, stage, server, turn):
        self.stage, self.folder = stage, stage.folder / f"copy-{turn}"
        self.log = stage.folder / "backup.log"
        url = f"http://127.0.0.1:{server.admin_port}"
        # Slower than by itself where the server holds little, so that it lasts.
        rate = [] if not stage.quick else ["--rate", "2MiB"]
        command = [stage.upbeat, "backup", "--from", url, "-o", self.folder, *rate]
        self.process = stage.processes.start(command, core=stage.cores.load, log=self.log)

    def is_running(self):
        return self.process.poll() is None

    def finish(self):
        """Waits for its end; bytes of the copy, which is removed."""
        self.stage.processes.finish(self.process, LONGEST_S, self.log)
        found = sum(file.stat().st_size for file in self.folder.iterdir())
        check = [self.stage.upbeat, "journal", "check", self.folder]
        if subprocess.run(check, capture_output=True, timeout=LONGEST_S, check=False).returncode != 0:
            raise Failure(f"{self.folder} is not sound")
        shutil.rmtree(self.folder)
        return found


# --- The page --------------------------------------------------------------------------------------------------------


def ratios(data):
    pairs = zip(data["rounds"]["with"], data["rounds"]["without"])
    return [loaded["p999_us"] / quiet["p999_us"] for loaded, quiet in pairs]


def page(data):
    columns = ["", "CPU/request, µs", "p50, µs", "p99, µs", "p99.9, µs", "max, µs"]
    rows = []
    for name, results in data["rounds"].items():
        fields = ("cpu_us", "p50_us", "p99_us", "p999_us", "max_us")
        rows.append([name, *(text.spread([result[field] for result in results]) for field in fields)])
    outlasted = sum(result["outlasted"] for result in data["rounds"]["with"])
    count = len(data["backups"])
    return [
        f"`benches/http/openloop.c` asks for {data['rate']:,.0f} decisions a second, half of what a closed loop reached, while "
        f"{EVENTS_PER_S:,} plays/s are written; {data['customers']:,} customers, {count} pairs of rounds of {data['seconds']} s, the "
        "second of a pair first in every other. *with* has `upbeat backup` on the generator's core, which reads all of the log and a "
        f"snapshot over HTTP, {max(data['backups']) / 2**20:,.0f} MiB, and writes them to the disk that the log is on "
        f"({data['disk']}); it lasted longer than the round in {outlasted} of {count}. Each copy was sound.",
        "",
        *text.table(columns, rows),
        "",
        f"p99.9 with a backup by that without, pair by pair: {text.spread(ratios(data))}.",
    ]


def budgets(data):
    ratio = median(ratios(data))
    what = "open-loop p99.9 at half of saturation, 20,000 events/s written, with a backup under way"
    return [(what, f"≤ {BUDGET} × the same without", f"{ratio:.2f} ×", ratio <= BUDGET)]
