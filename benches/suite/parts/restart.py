"""How long a client waits at most while a server is restarted, stopped or killed, on sockets that stay open meanwhile."""

import http.client
import json
import os
import shutil
import signal
import socket
import threading
import time

from suite import text
from suite.failure import Failure
from suite.parts.recovery import BOUND_S, MILLION, PLAYS, each_size
from suite.stage import lanes
from suite.tools import say

NAME = "restart"
TITLE = "Restarts: the longest wait of a client"
LIMITS_S = 900, 150
# With --10m.
LIMIT_10M_S = 5400
ENGINE = True

SIGNALS = {"SIGTERM": signal.SIGTERM, "kill -9": signal.SIGKILL}
# Clients of each kind: the request, and whether its connection is kept.
CLIENTS = [("decision", True), ("decision", False), ("event", True), ("event", False)] * 2
# Between two requests of a client, so that clients leave the cores to the server.
PAUSE_S = 0.002
# So long the clients are at work before each restart, and after it.
BUSY_S = 1.0


def run(stage):
    """One directory of each size, and servers on it one after the other."""
    return each_size(stage, measure)


def measure(stage, customers):
    """Fills a directory, restarts servers on it under load, and removes it."""
    directory = stage.folder / f"restart-{customers}"
    say(f"restart: filling {customers:,} customers with {PLAYS} plays each")
    stage.run([stage.engine_benches / "recovery", "store", directory, customers, PLAYS], 60 + customers / 5_000)
    directory.chmod(0o700)
    result = {"customers": customers, "restarts": []}
    with lanes(stage) as lanes_folder, Sockets() as sockets:
        launch = Launcher(stage, directory, customers, lanes_folder, sockets)
        launch.start()
        with Clients(sockets.port, customers) as clients:
            for number in range(stage.pick(3, 1)):
                for name in SIGNALS:
                    result["restarts"].append({"signal": name, **restart(launch, clients, name)})
                    one = result["restarts"][-1]
                    say(f"restart, {customers:,} customers, {name}: gone after {one['end_s']:.2f} s, ready after "
                        f"{one['ready_s']:.2f} s more, the longest wait of a client {one['longest_s']:.2f} s")
        result["answers"] = clients.answers
        launch.stop(signal.SIGKILL)
    shutil.rmtree(directory)
    return result


def restart(launch, clients, name):
    """Ends the server and starts another; how long that took, and how long a client waited."""
    time.sleep(BUSY_S)
    clients.longest()
    begun = time.monotonic()
    launch.stop(SIGNALS[name])
    ended = time.monotonic()
    launch.start()
    ready = time.monotonic()
    time.sleep(BUSY_S)
    return {"end_s": ended - begun, "ready_s": ready - ended, "longest_s": clients.longest()}


class Sockets:
    """Both listening sockets, which outlive every server."""

    def __enter__(self):
        self.data, self.admin = (socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(2))
        self.port, self.admin_port = (each.getsockname()[1] for each in (self.data, self.admin))
        return self

    def __exit__(self, *_):
        self.data.close()
        self.admin.close()

    def place(self):
        """For the child: the sockets are its descriptors 3 and 4."""
        for number, copy in enumerate([os.dup(self.data.fileno()), os.dup(self.admin.fileno())], 3):
            os.dup2(copy, number)


class Launcher:
    """Starts and ends servers, one after the other, with the same sockets and the same directory."""

    def __init__(self, stage, directory, customers, lanes_folder, sockets):
        self.stage, self.sockets, self.customers = stage, sockets, customers
        config = stage.folder / "restart.toml"
        # As of the part recovery: these histories are old, and nobody is to be evicted for it.
        limits = f"customers = {2 * customers}\nexpected_customers = {customers}\n"
        config.write_text(f'model = "none"\nlanes_dir = "{lanes_folder}"\n[window]\ndays = 36500\n[limits]\n{limits}')
        shell = ["sh", "-c", 'LISTEN_PID=$$ exec "$0" "$@"']
        self.command = [*shell, stage.upbeat, "serve", "--data-dir", directory, "--config", config]
        self.log = stage.folder / "restart.log"
        self.process = None

    def start(self):
        """Starts a server, and returns when it is ready."""
        environment = os.environ | {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "data:admin"}
        passing = {"env": environment, "preexec_fn": self.sockets.place, "close_fds": False}
        self.process = self.stage.processes.serve(self.command, core=None, log=self.log, **passing)
        begun = time.monotonic()
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() - begun > 60 + self.customers / 20_000:
                raise Failure(f"upbeat serve is not ready:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.005)

    def is_ready(self):
        """What the admin listener says; the first question waits until the process accepts it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.sockets.admin_port, timeout=60)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self, number):
        """Ends the server by a signal."""
        self.process.send_signal(number)
        status = self.process.wait(120)
        if number == signal.SIGTERM and status != 0:
            raise Failure(f"the server ended with status {status}:\n{self.log.read_text()[-2000:]}")
        self.stage.processes.running.remove(self.process)


class Clients:
    """Threads that ask, one request after the other, and note how long each answer took."""

    def __init__(self, port, customers):
        self.port, self.customers = port, customers
        self.lock, self.is_over = threading.Lock(), False
        self.waits, self.answers, self.failures = [], 0, []

    def __enter__(self):
        self.threads = [threading.Thread(target=self.work, args=(number, *kind)) for number, kind in enumerate(CLIENTS)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join()
        if self.failures:
            raise Failure(f"clients failed: {self.failures[:3]}")

    def longest(self):
        """The longest wait since the last call, those that go on left out."""
        if self.failures:
            raise Failure(f"clients failed: {self.failures[:3]}")
        with self.lock:
            waits, self.waits = self.waits, []
        return max(waits, default=0.0)

    def work(self, number, kind, is_kept):
        connection, count = None, 0
        while not self.is_over:
            count += 1
            begun = time.monotonic()
            try:
                # A kill cuts the request under way, which is then sent again.
                while (connection := self.ask(connection, kind, number, count)) is None and not self.is_over:
                    pass
            except Exception as error:  # told by whoever waits for the clients
                self.failures.append(f"{type(error).__name__}: {error}")
                return
            with self.lock:
                self.waits.append(time.monotonic() - begun)
                self.answers += 1
            if not is_kept and connection:
                connection.close()
                connection = None
            time.sleep(PAUSE_S)

    def ask(self, connection, kind, number, count):
        """One answer; the connection, or None where it ended without one. To be refused a connection is a failure."""
        if connection is None or connection.sock is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
            connection.connect()
        try:
            if kind == "decision":
                connection.request("GET", f"/should-show-ad/{(number * 7919 + count * 104729) % self.customers}")
            else:
                now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                play = {"type": "play", "event_id": count, "customer_id": f"restart-{number}-{count % 97}",
                        "track_id": count % 50, "time": now, "mobile": True}
                connection.request("POST", "/events", json.dumps(play), {"content-type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return None
        if answer.status != 200:
            raise Failure(f"answered {answer.status}: {body[:200]}")
        return connection


# --- The page --------------------------------------------------------------------------------------------------------


def of_signal(result, name, field):
    """A figure of every restart by one signal."""
    return [restart[field] for restart in result["restarts"] if restart["signal"] == name]


def page(data):
    lines = [
        "Two listening sockets that stay open, a directory with a snapshot and little of the log behind it, and servers on it one "
        f"after the other, on all cores; {len(CLIENTS)} clients ask for decisions and send events meanwhile, on kept and on fresh "
        "connections. No connection was refused. A stop takes connections to the end of its drain (1 s), so that a client waits for "
        "less than the stop and the start take.",
        "",
    ]
    for result in data["results"]:
        rows = [[name, *(text.spread(of_signal(result, name, field)) for field in ("end_s", "ready_s", "longest_s"))]
                for name in SIGNALS]
        lines += [
            f"**{result['customers']:,} customers with {data['plays']} plays each.**",
            "",
            *text.table(["ended by", "until it is gone, s", "until the next is ready, s", "the longest wait of a client, s"], rows),
            "",
        ]
    return [*lines, *(f"Left out: {reason}." for reason in data["left_out"])]


def budgets(data):
    rows = []
    for result in data["results"]:
        longest = max(restart["longest_s"] for restart in result["restarts"])
        # That of the recovery, and a second for the end of the former process.
        bound_s = BOUND_S.get(result["customers"], BOUND_S[MILLION]) + 1
        of = f"{result['customers']:,} × {data['plays']}"
        rows.append((f"longest wait of a client over a restart or kill -9 of {of}", f"≤ {bound_s} s", f"{longest:.2f} s",
                     longest <= bound_s))
    return rows
