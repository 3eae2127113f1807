"""What every part is given: how much is asked for, the programs, a folder, and servers to start in it."""

import contextlib
import json
import mmap
import os
import random
import shutil
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from suite import loads, servers, tools
from suite.failure import Failure
from suite.processes import Cores, CpuMeter, Processes, pinned
from suite.tools import say

# Plays of a customer in the histories, on the average; with fewer, most would have too little history for a score.
PLAYS = 20
# Shorter than the default window, so that every play counts.
WEEKS = 2
# A history that is kept from another run may be so old; no play has left the window by then.
MAX_AGE_S = 5 * 86_400
# The lanes of all servers of a part.
LANES_BYTES = 128 << 20


@dataclass
class Stage:
    """Where one part is played."""

    quick: bool
    folder: Path
    processes: Processes
    against: Path = None
    oha: bool = False
    ten_million: bool = False

    def __post_init__(self):
        self.cores = Cores.choose()
        self.upbeat = tools.TARGET / "release/upbeat"
        self.engine_benches = tools.TARGET / "benches/release"

    def pick(self, full, quick):
        """One of two sizes: of a whole run, or of a brief one."""
        return quick if self.quick else full

    def history(self, customers, plays=PLAYS):
        """Simulated customers with so many plays each, on the average, that end about now."""
        return History(self, customers, plays)

    def start_upbeat(self, name="upbeat", binary=None, **more):
        """`upbeat serve` on the servers' core; `more` as in servers.start_upbeat."""
        binary = binary or self.upbeat
        return servers.start_upbeat(self.processes, self.cores, binary, self.folder, name, **more)

    def wrk(self, server, script, ids, seconds, **more):
        """A closed loop against `server`."""
        return loads.wrk(self.processes, self.cores, server, script, ids, seconds, **more)

    def openloop(self, server, ids, rate, seconds, **more):
        """An open loop against `server`."""
        program = tools.PROGRAMS / "openloop"
        return loads.openloop(self.processes, self.cores, server, program, ids, rate, seconds, **more)

    def closedloop(self, server, ids, form, seconds, connections):
        """A closed loop that writes to `server`: `form` is events, or set for Redis."""
        program = tools.PROGRAMS / "closedloop"
        log = self.folder / "closedloop.log"
        return loads.closedloop(self.processes, self.cores, server, program, ids, form, seconds, connections, log)

    def syncs(self, seconds):
        """The disk's own write and sync of 4 KiB, from the servers' core, in the folder in which servers keep their data."""
        command = [tools.PROGRAMS / "syncs", self.folder, seconds]
        return json.loads(self.processes.run(command, seconds + 60, core=self.cores.server))

    def run(self, command, timeout_s):
        """Runs a program on all cores and gives back its stdout."""
        return self.processes.run(command, timeout_s, log=self.folder / "programs.log")

    def measure(self, command, timeout_s):
        """Runs a program on all cores: its wall time and CPU in seconds, and its peak resident memory in bytes."""
        result = self.folder / "measured.json"
        self.run([tools.PROGRAMS / "measure", result, *command], timeout_s)
        return json.loads(result.read_text())


class History:
    """Files of `upbeat simulate`, made once for all parts of a run, and the customers' ids in an order like chance."""

    def __init__(self, stage, customers, plays):
        self.stage, self.customers, self.plays = stage, customers, customers * plays
        self.folder = tools.WORK / f"history-{customers}-{plays}"
        self.ids_file = self.folder / "ids"
        if not self.ids_file.exists() or time.time() - self.ids_file.stat().st_mtime > MAX_AGE_S:
            self.make()
        self.ids = self.ids_file.read_text().split()

    def make(self):
        say(f"simulating {self.customers:,} customers with {self.plays:,} plays")
        shutil.rmtree(self.folder, ignore_errors=True)
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        size = ["--customers", self.customers, "--plays", self.plays, "--weeks", WEEKS]
        command = [self.stage.upbeat, "simulate", *size, "--seed", 1, "--end", now, "--no-impressions", "-o", self.folder]
        self.stage.run(command, 60 + self.plays / 100_000)
        (self.folder / "clicks.csv").unlink()
        rows = (self.folder / "customers.csv").read_text().splitlines()[1:]
        ids = [row.partition(",")[0] for row in rows]
        random.Random(1).shuffle(ids)
        self.ids_file.write_text("\n".join(ids) + "\n")

    def load(self, server):
        """Posts all plays and memberships; seconds and CPU seconds that the plays took."""
        with open(self.folder / "tracks.csv", "rb") as file:
            rows = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            accepted, wall_s, cpu_s = ingest(self.stage, server, rows)
        if accepted != self.plays:
            raise Failure(f"{server.name} accepted {accepted} of {self.plays} plays")
        servers.load_customers(server, self.folder / "customers.csv")
        return wall_s, cpu_s


def ingest(stage, server, rows, **more):
    """Posts rows from the load's core: how many were accepted, in how many seconds, with how much CPU of the server."""
    with pinned(stage.cores.load), CpuMeter(server.pid, stage.cores.server) as cpu:
        accepted = servers.load_plays(server, rows, **more)
    return accepted, cpu.wall_s, cpu.cpu_s


def disk_of(stage):
    """The kind of file system of what the part writes. In memory only briefly: figures of what reaches a disk would be of nothing."""
    found = max((line.split() for line in Path("/proc/mounts").read_text().splitlines()
                 if stage.folder.resolve().is_relative_to(line.split()[1])), key=lambda mount: len(mount[1]))
    if found[2] in ("tmpfs", "ramfs") and not stage.quick:
        raise Failure(f"{stage.folder} is in memory ({found[2]}); set CARGO_TARGET_DIR to a folder on a disk")
    return found[2]


def lanes(stage):
    """A folder in memory that outlives a server, for its lanes, as systemd gives one; removed on leaving the block. Briefly it may
    be none, where there is little such memory, as in a container."""
    memory = Path("/dev/shm")
    if stage.quick and not (memory.is_dir() and shutil.disk_usage(memory).free >= LANES_BYTES):
        return contextlib.nullcontext("")
    return tempfile.TemporaryDirectory(prefix="upbeat-bench-", dir=memory)


def files_allowed(wanted):
    """Raises this process's limit on open files, for itself and what it starts, as far as allowed; what it then is."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > wanted:
        hard = max(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return hard


def available_bytes():
    """Memory that this machine can still give."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
