"""Events that are on the disk before they are acknowledged: in bulk beside memory alone, one by one beside Redis."""

import contextlib
import itertools
import json
import os
import time
from pathlib import Path
from statistics import median

from suite import servers, text, tools
from suite.failure import Failure
from suite.parts.http import new_plays
from suite.processes import resident_bytes
from suite.stage import PLAYS, disk_of, ingest, lanes
from suite.tools import say

NAME = "durable"
TITLE = "Events that are on the disk"
LIMITS_S = 600, 150

CONNECTIONS = 32, 256
# Each setting of Upbeat, and Redis's that promises as much or less.
PEERS = {"ack": "always", "interval": "everysec"}
FORMS = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
MIB = 1 << 20
# Memory that the log may add: 64 MiB, and two groups of 8 MiB.
ADDED_BYTES = (64 + 2 * 8) * MIB
# An acknowledgement may take twice what a sync takes the disk, and a millisecond.
SYNCS, MORE_US = 2, 1000


def run(stage):
    """Everybody at once, in turn within each round, with the disk's own sync before each turn."""
    disk = disk_of(stage)
    customers, rounds = stage.pick(250_000, 1_000), stage.pick(3, 1)
    with lanes(stage) as lanes_folder:
        bench = Bench(stage, stage.history(customers), rounds, lanes_folder)
        bench.data["file_system"] = disk
        bench.start()
        bench.bulk(stage.pick(2_000_000, 20_000))
        bench.memory()
        bench.singles(stage.pick(3, 0.6))
        bench.all_well()
        return bench.data


@contextlib.contextmanager
def on_cores(pids, cores):
    """All threads of these processes stay on these cores within the block."""
    threads = {}
    for task in (int(task.name) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()):
        # A thread may end meanwhile.
        with contextlib.suppress(ProcessLookupError):
            threads[task] = os.sched_getaffinity(task)
            os.sched_setaffinity(task, cores)
    try:
        yield
    finally:
        for thread, before in threads.items():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread, before)


def setting(durability, lanes_folder):
    """The configuration of a server that keeps a log."""
    return f'durability = "{durability}"\nlanes_dir = "{lanes_folder}"\n'


class Bench:
    """The servers while they run, and what was measured."""

    def __init__(self, stage, history, rounds, lanes_folder):
        self.stage, self.history, self.rounds, self.lanes = stage, history, rounds, lanes_folder
        self.data = {"customers": history.customers, "plays": history.plays, "rounds": rounds, "loading": {}, "bulk": {},
                     "singles": {}}

    def start(self):
        """All servers; those that are compared in bulk have the whole history."""
        stage = self.stage
        memory = stage.start_upbeat("in-memory", in_memory=True)
        self.servers = {"in memory": memory}
        for durability in PEERS:
            self.servers[durability] = stage.start_upbeat(durability, config=setting(durability, self.lanes))
        for name, server in self.servers.items():
            say(f"loading {self.history.plays:,} plays: {name}")
            wall_s, _ = self.history.load(server)
            self.data["loading"][name] = self.history.plays / wall_s
        reply = acknowledgement(memory)
        self.floor = servers.start_floor(stage.processes, stage.cores, tools.PROGRAMS / "floor", reply, stage.folder)
        self.redis = {
            durability: servers.start_durable_redis(stage.processes, stage.cores, stage.folder, appendfsync)
            for durability, appendfsync in PEERS.items()
        }
        self.before = {name: servers.metrics(server) for name, server in self.servers.items()}
        self.sent = dict.fromkeys(self.servers, 0)

    def syncs(self):
        return self.stage.syncs(self.stage.pick(0.7, 0.2))

    def bulk(self, count):
        """New plays of known customers in large bodies, the same to both servers."""
        cores = {"one core": {self.stage.cores.server}, "all cores": os.sched_getaffinity(0)}
        for turn, (where, form) in enumerate(itertools.product(list(cores) * self.rounds, FORMS)):
            with on_cores([self.servers[name].pid for name in ("in memory", "ack")], cores[where]):
                rows = new_plays(self.history.ids, form, count, turn)
                path, content = "/events?kind=plays" if form == "csv" else "/events", FORMS[form]
                sample = {"sync": self.syncs()}
                # Who is first changes with the rounds.
                for name in ("in memory", "ack")[:: 1 - 2 * (turn // (len(cores) * len(FORMS)) % 2)]:
                    server = self.servers[name]
                    accepted, wall_s, cpu_s = ingest(self.stage, server, rows, path=path, content=content)
                    if accepted != count:
                        raise Failure(f"of {count} new plays as {form} {accepted} were accepted: {name}")
                    self.sent[name] += count
                    sample[name] = {"per_s": count / wall_s, "cpu_us": cpu_s / count * 1e6}
                    say(f"bulk {form}, {where}, {name}: {count / wall_s:,.0f}/s")
                self.data["bulk"].setdefault(f"{form}, {where}", []).append(sample)
        self.data["bulk_rows"] = count

    def memory(self):
        """Resident memory after the same events, and what of it is shared: the lanes."""
        self.data["resident"] = {
            name: {"bytes": resident_bytes(self.servers[name].pid), **more_on_memory(self.servers[name].pid)}
            for name in ("in memory", "ack")
        }
        say(f"resident: {self.data['resident']}")

    def singles(self, seconds):
        """Events one by one, and Redis's SET."""
        ids = self.history.ids_file
        turns = [("floor", self.floor, "events"), ("in memory", self.servers["in memory"], "events")]
        for durability, appendfsync in PEERS.items():
            turns.append((durability, self.servers[durability], "events"))
            turns.append((f"redis, {appendfsync}", self.redis[durability], "set"))
        for turn in range(self.rounds):
            for connections in CONNECTIONS:
                for name, server, form in turns:
                    sample = {"sync": self.syncs()}
                    sample |= self.stage.closedloop(server, ids, form, seconds, connections)
                    if name in self.sent:
                        self.sent[name] += sample["answered"]
                    of = self.data["singles"].setdefault(str(connections), {})
                    of.setdefault(name, []).append(sample)
                    say(f"singles {turn + 1}/{self.rounds}, {connections} connections, {name}: {sample['per_s']:,.0f}/s, "
                        f"p99 {sample['p99_us']:,.0f} µs; the disk's own {sample['sync']['p99_us']:,.0f} µs")
        self.data["seconds"] = seconds

    def all_well(self):
        """Fails the part where a server counted other events than were sent, or Redis has not kept its file as asked."""
        for name, server in self.servers.items():
            after = servers.metrics(server)
            accepted = sum(servers.changed(self.before[name], after, "upbeat_events_total", outcome="accepted").values())
            if accepted != self.sent[name]:
                raise Failure(f"{name}: {self.sent[name]} events were acknowledged, {accepted:.0f} counted as accepted")
        for server in self.redis.values():
            about = servers.redis_info(server.port, "persistence")
            for line in ("aof_enabled:1", "aof_last_write_status:ok", "aof_rewrite_in_progress:0"):
                if line not in about:
                    raise Failure(f"{server.name} does not say {line}:\n{about}")


def acknowledgement(server):
    """The whole answer to one event of a customer of its own, head and body."""
    yesterday = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 86_400))
    body = json.dumps({"type": "play", "event_id": 1, "customer_id": "nobody", "track_id": 1, "time": yesterday,
                       "mobile": True, "zip": "10234"}).encode()
    head = (f"POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n")
    with servers.connect(server.port) as connection:
        connection.sendall(head.encode() + body)
        return servers.read_reply(connection)


def more_on_memory(pid):
    """Bytes of a process by /proc: its peak, and what of its memory is shared, as the lanes are."""
    fields = {"VmHWM": "peak_bytes", "RssShmem": "shared_bytes"}
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {fields[name]: int(value.split()[0]) * 1024 for name, _, value in lines if name in fields}


# --- The page --------------------------------------------------------------------------------------------------------


def of(data, connections, name, field):
    """A figure of each round."""
    return [sample[field] for sample in data["singles"][str(connections)][name]]


def ratios(data, connections, name, base):
    """Round by round: a rate by that of another server in the same round."""
    return [one / other for one, other in zip(of(data, connections, name, "per_s"), of(data, connections, base, "per_s"))]


def sync_us(data, field):
    """A figure of the disk's own sync, of every turn of the part."""
    turns = [sample for loads in data["singles"].values() for samples in loads.values() for sample in samples]
    return [sample["sync"][field] for sample in turns]


def most_ack_us(data):
    """The budget of an acknowledgement's p99: by the median p99 of the disk's own syncs."""
    return SYNCS * median(sync_us(data, "p99_us")) + MORE_US


def bulk_of(data, form, name, field="per_s"):
    return [sample[name][field] for sample in data["bulk"][form]]


def bulk_ratios(data, form):
    return [one / other for one, other in zip(bulk_of(data, form, "ack"), bulk_of(data, form, "in memory"))]


def page(data):
    times = [("p50, µs", "p50_us"), ("p99, µs", "p99_us"), ("p99.9, µs", "p999_us"), ("max, µs", "max_us")]
    rows = []
    for connections, loads in data["singles"].items():
        for name in loads:
            busy = [text.spread([100 * share for share in of(data, connections, name, field)], 2) + " %"
                    for field in ("server_busy", "busy")]
            cells = [text.spread(of(data, connections, name, field)) for _, field in times]
            rate, cpu = (text.spread(of(data, connections, name, field), digits) for field, digits in (("per_s", 5), ("cpu_us", 3)))
            rows.append([f"{connections}, {name}", rate, cpu, *cells, *busy])
    resident = data["resident"]
    mib = lambda name, field: f"{resident[name][field] / MIB:,.0f}"
    sizes = {name: median(of(data, CONNECTIONS[0], name, "request_bytes")) for name in ("ack", "redis, always")}
    return [
        f"All data directories are in one folder on one disk ({data['file_system']}). Each server is on one core with all "
        "its threads: Upbeat's event loop, the journal's thread, the one that makes segments and the one that writes "
        "snapshots; Redis with its own. The client is on the other core. Rounds: "
        f"{data['rounds']}, everybody in turn within each. Before every turn the disk's own sync is measured, 4 KiB over zeros "
        f"and `fdatasync`, one after the other, on the servers' core (`benches/http/syncs.c`): {len(sync_us(data, 'p50_us'))} "
        f"times, p50 {text.spread(sync_us(data, 'p50_us'))} µs, p99 {text.spread(sync_us(data, 'p99_us'))} µs, p99.9 "
        f"{text.spread(sync_us(data, 'p999_us'))} µs, max {text.spread(sync_us(data, 'max_us'))} µs.",
        "",
        "### In bulk",
        "",
        f"{data['customers']:,} customers with {data['plays']:,} plays, {PLAYS} each on the average; then "
        f"{data['bulk_rows']:,} new plays of theirs a turn, in bodies of at most 4 MiB, two at once, the same to both. *ack* "
        "answers a body when all its rows are on the disk, *in memory* keeps no log (`--in-memory`). With *all cores* the servers "
        "share them with the client, which sends files as they are.",
        "",
        *text.table(
            ["rows", "ack, events/s", "in memory, events/s", "round by round", "ack, CPU/event, µs", "in memory, CPU/event, µs"],
            [[form, text.spread(bulk_of(data, form, "ack"), 4), text.spread(bulk_of(data, form, "in memory"), 4),
              text.spread(bulk_ratios(data, form)), text.spread(bulk_of(data, form, "ack", "cpu_us")),
              text.spread(bulk_of(data, form, "in memory", "cpu_us"))] for form in data["bulk"]]),
        "",
        "The history into the empty servers, as CSV, once: "
        + ", ".join(f"{name} {per_s:,.0f} events/s" for name, per_s in data["loading"].items()) + ".",
        "",
        f"Resident after all of that: {mib('ack', 'bytes')} MiB with a log, of which {mib('ack', 'shared_bytes')} MiB are the "
        f"lanes (shared mappings of a tmpfs, which count), {mib('in memory', 'bytes')} MiB without; peaks "
        f"{mib('ack', 'peak_bytes')} and {mib('in memory', 'peak_bytes')} MiB.",
        "",
        "### One by one",
        "",
        f"`benches/http/closedloop.c`, rounds of {data['seconds']} s: each connection sends its next event when its last is "
        f"answered. To Upbeat it posts one play as JSON ({sizes['ack']:,.0f} bytes with its head), to Redis it sends `SET` of "
        f"a random customer's key with the same JSON as its value ({sizes['redis, always']:,.0f} bytes). *ack* and *interval* "
        "(100 ms, the default) are settings of `durability`; Redis has `appendonly yes`, `appendfsync always` and `everysec`, "
        "and does not rewrite its file meanwhile. *in memory* keeps no log. *floor* is a bare epoll loop that "
        "answers the bytes of an acknowledgement and reads nothing: its rate is what the client can do, as is the share of its "
        "core that the client used.",
        "",
        *text.table(["connections, server", "events/s", "CPU/event, µs", *(title for title, _ in times), "server's core busy",
                     "client's"], rows),
        "",
        *text.table(["rate by Redis's", "round by round"], [
            [f"{connections} connections, {durability} by {appendfsync}",
             text.spread(ratios(data, connections, durability, f"redis, {appendfsync}"))]
            for connections in CONNECTIONS for durability, appendfsync in PEERS.items()
        ]),
    ]


def budgets(data):
    rows = []
    for where in ("all cores", "one core"):
        forms = [form for form in data["bulk"] if form.endswith(where)]
        bulk = min(median(bulk_of(data, form, "ack")) for form in forms)
        share = min(median(bulk_ratios(data, form)) for form in forms)
        rows.append((f"bulk, on the disk before it is acknowledged, the slower of CSV and NDJSON, {where}", "≥ 600,000/s",
                     f"{bulk:,.0f}/s", bulk >= 600_000))
        rows.append((f"the same by that in memory, {where}", "≥ 75 %", f"{share:.0%}", share >= 0.75))
    for durability, appendfsync in PEERS.items():
        for connections in CONNECTIONS:
            ratio = median(ratios(data, connections, durability, f"redis, {appendfsync}"))
            rows.append((f"single events, {connections} connections, `{durability}` by Redis's `SET`, `{appendfsync}`", "≥ 1",
                         f"{ratio:.2f}", ratio >= 1))
    most_us = most_ack_us(data)
    for connections in CONNECTIONS:
        p99 = median(of(data, connections, "ack", "p99_us"))
        rows.append((f"acknowledgement on the disk, {connections} connections, p99",
                     f"≤ 2 × the disk's sync p99 + 1 ms = {most_us / 1000:.2f} ms", f"{p99 / 1000:.2f} ms", p99 <= most_us))
    resident = data["resident"]
    added = resident["ack"]["bytes"] - resident["in memory"]["bytes"]
    rows.append(("resident memory that the log adds", "≤ 80 MiB", f"{added / MIB:.0f} MiB", added <= ADDED_BYTES))
    return rows
