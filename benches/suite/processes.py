"""Starting, pinning, measuring and ending processes. Only those that were started here are ever ended."""

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from suite.failure import Failure

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STOP_S = 5


@dataclass
class Cores:
    """Which core the servers run on, and which the load; one and the same on a machine with one."""

    server: int
    load: int

    @classmethod
    def choose(cls):
        allowed = sorted(os.sched_getaffinity(0))
        return cls(server=allowed[0], load=allowed[-1])


class Processes:
    """Every process that this run has started; leaving the block ends those that still run, by their ids."""

    def __init__(self):
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            if process.poll() is None:
                process.terminate()
        for process in self.running:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, command, core=None, log=None, cwd=None, stdin=subprocess.DEVNULL):
        """Starts a command, pinned to one core; its stdout is a pipe, its stderr goes to the file `log`."""
        with open(log or os.devnull, "ab") as errors:
            return self._start(command, core, cwd, stdin=stdin, stdout=subprocess.PIPE, stderr=errors)

    def serve(self, command, core, log, **more):
        """Starts a server, pinned to one core; what it writes goes to the file `log`. `more` as subprocess.Popen has it."""
        with open(log, "wb") as output:
            return self._start(command, core, None, stdout=output, stderr=subprocess.STDOUT, **more)

    def _start(self, command, core, cwd, **streams):
        command = [str(part) for part in command]
        if core is not None:
            command = ["taskset", "-c", str(core), *command]
        streams.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(command, cwd=cwd, text=True, **streams)
        self.running.append(process)
        return process

    def finish(self, process, timeout_s, log=None):
        """Waits for the end of a process and gives back its stdout; a bad status fails the run."""
        name = " ".join(process.args)
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise Failure(f"still running after {timeout_s:.0f} s: {name}") from None
        self.running.remove(process)
        if process.returncode != 0:
            raise Failure(f"status {process.returncode}: {name}\n{output}{tail(log)}")
        return output

    def run(self, command, timeout_s, **where):
        """Runs a command to its end and gives back its stdout."""
        return self.finish(self.start(command, **where), timeout_s, where.get("log"))

    def stop(self, process):
        """Ends a server: SIGTERM, and SIGKILL if that is not heeded."""
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.running.remove(process)


def tail(log, lines=20):
    """The last lines of a log file."""
    if not log or not Path(log).exists():
        return ""
    return "\n".join(Path(log).read_text(errors="replace").splitlines()[-lines:])


def said(process, beginning, log, timeout_s=20):
    """What a server wrote to its log on the line that begins so, once it has."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        for line in Path(log).read_text(errors="replace").splitlines(keepends=True):
            if line.startswith(beginning) and line.endswith("\n"):
                return line.removeprefix(beginning).strip()
        time.sleep(0.02)
    raise Failure(f"no line {beginning!r} from {' '.join(process.args)}\n{tail(log)}")


def cpu_s(pid):
    """Seconds of CPU that a process has used, in user and system mode, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


@contextlib.contextmanager
def pinned(core):
    """This process, and what it starts meanwhile, stays on one core within the block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def resident_bytes(pid):
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def core_s(core):
    """Seconds that one core has worked for anybody since boot, or was withheld by the hypervisor; no interrupts."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, steal = (int(fields[at]) for at in (0, 1, 2, 7))
            return (user + nice + system + steal) / TICKS_PER_S
    return 0.0


class CpuMeter:
    """CPU and wall time of one process, pinned to one core, between entering and leaving the block."""

    def __init__(self, pid, core):
        self.pid, self.core = pid, core

    def __enter__(self):
        self.wall_s, self.cpu_s, self.core_s = self.now()
        return self

    def __exit__(self, *_):
        before = self.wall_s, self.cpu_s, self.core_s
        self.wall_s, self.cpu_s, self.core_s = (now - then for now, then in zip(self.now(), before))

    def now(self):
        return time.monotonic(), cpu_s(self.pid), core_s(self.core)

    def us_per(self, count):
        """Microseconds of CPU for each of `count` things."""
        return self.cpu_s / count * 1e6

    @property
    def busy(self):
        """Share of the core that the process used, 0 to 1."""
        return self.cpu_s / self.wall_s

    @property
    def others(self):
        """Share of the core that anybody else used, 0 to 1."""
        return max(self.core_s - self.cpu_s, 0) / self.wall_s
