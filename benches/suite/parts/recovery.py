"""How long a start takes: replay of the log, recovery from a snapshot, from memory and from the disk; bytes on the disk."""

import json
import os
import shutil
import time
from statistics import median

from suite import servers, text
from suite.failure import Failure
from suite.parts.start import status
from suite.stage import available_bytes, disk_of, lanes
from suite.tools import say

NAME = "recovery"
TITLE = "Recovery, and bytes on the disk"
LIMITS_S = 300, 120
# With --10m.
LIMIT_10M_S = 3600
ENGINE = True

PLAYS = 40
THREADS = 1, 2
# Of all customers; those that a budget is about.
MILLION = 1_000_000
BOUND_S = {MILLION: 4, 10 * MILLION: 40}
READ_BYTES = 1 << 20
# What a store takes while it is filled, for each play, in memory and on the disk.
MEMORY_BYTES, DISK_BYTES = 20, 90


def run(stage):
    """One directory of each size, recovered again and again."""
    return each_size(stage, measure)


def each_size(stage, measure):
    """What `measure` finds out of each number of customers for whom there is memory and disk."""
    disk_of(stage)
    sizes = [stage.pick(MILLION, 5_000)] + [10 * MILLION] * stage.ten_million
    results, left_out = [], []
    for customers in sizes:
        plays = customers * PLAYS
        if plays * MEMORY_BYTES > available_bytes() or plays * DISK_BYTES > shutil.disk_usage(stage.folder).free:
            left_out.append(f"{customers:,} customers: more than there is memory or disk for")
            continue
        results.append(measure(stage, customers))
    return {"plays": PLAYS, "results": results, "left_out": left_out}


def measure(stage, customers):
    """Everything about one directory, which is removed at the end."""
    program, directory = stage.engine_benches / "recovery", stage.folder / f"recovery-{customers}"
    # A process for each, so that none finds the heap of another.
    say(f"recovery: filling {customers:,} customers with {PLAYS} plays each")
    result = json.loads(stage.run([program, "fill", directory, customers, PLAYS], 60 + customers / 5_000))
    directory.chmod(0o700)

    def recover(threads):
        found = json.loads(stage.run([program, "open", directory, customers, threads], 60 + customers / 20_000))
        if (found["customers"], found["plays"]) != (result["customers"], result["plays"]):
            raise Failure(f"of {result['plays']} plays of {result['customers']} customers recovery found {found}")
        return found["seconds"]

    rounds = stage.pick(3, 1)
    result["warm_s"] = {str(threads): [recover(threads) for _ in range(rounds)] for threads in THREADS}
    cold, read = [], []
    for _ in range(rounds):
        drop_from_cache(directory)
        read.append(read_files(directory))
        drop_from_cache(directory)
        cold.append(recover(THREADS[-1]))
    result["cold_s"], result["read_s"] = cold, read
    with lanes(stage) as lanes_folder:
        result["serve_s"] = [serve(stage, directory, result["customers"], lanes_folder) for _ in range(rounds)]
    say(f"recovery, {customers:,} customers: warm {median(result['warm_s'][str(THREADS[-1])]):.2f} s, "
        f"cold {median(cold):.2f} s, reading the same {median(read):.2f} s, serve {median(result['serve_s']):.2f} s")
    shutil.rmtree(directory)
    return result


def recovered_files(directory):
    """What recovery reads whole: the newest snapshot. The log behind it holds less than a record for each thousand of it."""
    return [max(directory.glob("snapshot-*"), key=lambda file: file.name)]


def drop_from_cache(directory):
    """The kernel forgets what it has read of the files, once all of it is on the disk."""
    for file in directory.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def read_files(directory):
    """Seconds to read them from begin to end, a MiB at a time."""
    buffer = bytearray(READ_BYTES)
    start = time.monotonic()
    for path in recovered_files(directory):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.monotonic() - start


def serve(stage, directory, customers, lanes_folder):
    """Seconds from the command `upbeat serve` until it is ready, on all cores, with the page cache warm."""
    port, admin = servers.free_port(), servers.free_port()
    flags = ["--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}", "--data-dir", directory]
    # These histories are old: with a window as long nobody is idle, and evicted before they are counted.
    config = stage.folder / "recovery.toml"
    limits = f'customers = {2 * customers}\nexpected_customers = {customers}\n'
    config.write_text(f'model = "none"\nlanes_dir = "{lanes_folder}"\n[window]\ndays = 36500\n[limits]\n{limits}')
    log = stage.folder / "recovery.log"
    start = time.monotonic()
    process = stage.processes.serve([stage.upbeat, "serve", *flags, "--config", config], core=None, log=log)
    while status(port, "/readyz") != 200:
        if process.poll() is not None or time.monotonic() - start > 60 + customers / 20_000:
            raise Failure(f"upbeat serve is not ready:\n{log.read_text()[-2000:]}")
        time.sleep(0.005)
    taken = time.monotonic() - start
    now = servers.metrics(servers.Server("recovered", process, port, admin))
    if (held := now["upbeat_profiles"]) != customers:
        raise Failure(f"of {customers} customers upbeat serve has recovered {held:.0f}")
    process.kill()
    process.wait()
    stage.processes.running.remove(process)
    return taken


# --- The page --------------------------------------------------------------------------------------------------------


def rate(result, field):
    """Events a second."""
    return result["events"] / result[field]


def replay_share(result):
    return result["fill_s"] / result["replay_s"]


def bytes_per_play(result, field):
    return result[field] / result["plays"]


def page(data):
    million = lambda result, field: f"{rate(result, field) / 1e6:.2f}"
    lines = []
    for result in data["results"]:
        warm = [[f"recovery, page cache warm, {threads} thread{'s' if threads != '1' else ''}", text.spread(times)]
                for threads, times in result["warm_s"].items()]
        lines += [
            f"**{result['customers']:,} customers with {data['plays']} plays and a membership each.** Into an engine without a "
            f"log {million(result, 'fill_s')} M events/s, with one until all are on the disk {million(result, 'durable_s')}, "
            f"replayed from the log {million(result, 'replay_s')}; {result['log_bytes'] / result['events']:.1f} bytes of log an "
            f"event, with what is allocated ahead. A snapshot is written and read back in {result['snapshot_s']:.2f} s without a "
            "bound on its rate.",
            "",
            *text.table(["what", "s"], [
                *warm,
                ["recovery, page cache cold, 2 threads", text.spread(result["cold_s"])],
                ["reading the same files, page cache cold, a MiB at a time", text.spread(result["read_s"])],
                ["`upbeat serve` from the command to ready, page cache warm", text.spread(result["serve_s"])],
            ]),
            "",
            *text.table(["bytes on the disk for each kept play", "bytes"], [
                ["two snapshots", f"{bytes_per_play(result, 'two_snapshots_bytes'):.2f}"],
                ["the most while a third is written", f"{bytes_per_play(result, 'most_bytes'):.2f}"],
            ]),
            "",
        ]
    return [
        "`benches/engine/src/bin/recovery.rs`, two threads, no HTTP, each step in a process of its own; the log is written by a "
        "thread of its own. Recovery reads the newest snapshot, and the log from where that began, which is short here. The "
        "cache is emptied of these files by `posix_fadvise`.",
        "",
        *lines,
        *(f"Left out: {reason}." for reason in data["left_out"]),
    ]


def budgets(data):
    rows = []
    for result in data["results"]:
        customers = result["customers"]
        of = f"{customers:,} × {data['plays']}"
        warm, cold, read = (median(times) for times in (result["warm_s"][str(THREADS[-1])], result["cold_s"], result["read_s"]))
        bound_s = BOUND_S.get(customers, BOUND_S[MILLION])
        two, most = bytes_per_play(result, "two_snapshots_bytes"), bytes_per_play(result, "most_bytes")
        share = replay_share(result)
        rows += [
            (f"recovery of {of}, page cache warm", f"≤ {bound_s} s", f"{warm:.2f} s", warm <= bound_s),
            (f"recovery of {of}, cold, by reading the same files", "≤ 1.3",
             f"{cold / read:.2f} ({cold:.2f} s by {read:.2f} s; warm {warm:.2f} s)", cold <= 1.3 * read),
            (f"replay of {of} without a snapshot, by the engine's own fill", "≥ 0.8", f"{share:.2f}", share >= 0.8),
            (f"disk for each kept play of {of}, two snapshots", "≤ 24 B", f"{two:.1f} B", two <= 24),
            ("the same while a third is written", "≤ 36 B", f"{most:.1f} B", most <= 36),
        ]
    return rows
