"""The three servers that are compared: Upbeat, the floor, and Redis."""

import http.client
import json
import re
import shutil
import socket
import threading
import time
from dataclasses import dataclass

from suite.failure import Failure
from suite.processes import said

# A body over this goes out in parts, each a whole number of rows; the server's limit is 8 MiB.
BODY_BYTES = 4 << 20
# Bodies under way at once while loading: as many as the server's bulk pool works on.
LOADERS = 2


@dataclass
class Server:
    """A running server."""

    name: str
    process: object
    port: int
    admin_port: int = 0

    @property
    def pid(self):
        return self.process.pid

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


def start_upbeat(processes, cores, binary, folder, name="upbeat", config="", flags=(), in_memory=False, environment=()):
    """`upbeat serve` with one worker and an empty data directory, or none, on free ports; the environment may set other
    keys, and `environment` has variables of this server alone, as NAME=VALUE."""
    data_directory = folder / f"{name}-data"
    shutil.rmtree(data_directory, ignore_errors=True)
    keeps = ["--in-memory"] if in_memory else ["--data-dir", data_directory]
    log = folder / f"{name}.log"
    file = folder / f"{name}.toml"
    file.write_text(config)
    listeners = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    flags = [*listeners, "--workers", "1", *keeps, "--config", file, *flags]
    variables = ["env", *environment] if environment else []
    process = processes.serve([*variables, binary, "serve", *flags], core=cores.server, log=log)
    data = said(process, "data", log)
    admin = said(process, "admin", log)
    port = lambda url: int(url.rpartition(":")[2])
    return Server(name, process, port(data), port(admin))


def start_floor(processes, cores, floor, reply, folder):
    """The bare epoll loop, answering `reply` to everything."""
    path = folder / "reply"
    path.write_bytes(reply)
    log = folder / "floor.log"
    process = processes.serve([floor, path], core=cores.server, log=log)
    return Server("floor", process, int(said(process, "port", log)))


def start_redis(processes, cores, folder, customers, value):
    """redis-server without persistence, holding `value` under a key for each customer."""
    server = start_redis_with(processes, cores, folder, "redis", ["--appendonly", "no"])
    fill_redis(server.port, customers, value)
    return server


def start_durable_redis(processes, cores, folder, appendfsync):
    """An empty redis-server with an append-only file, which it does not rewrite meanwhile: that would cost it time."""
    name = f"redis-{appendfsync}"
    own = folder / name
    own.mkdir()
    persistence = ["--appendonly", "yes", "--appendfsync", appendfsync, "--auto-aof-rewrite-percentage", "0"]
    return start_redis_with(processes, cores, own, name, persistence)


def start_redis_with(processes, cores, folder, name, persistence):
    """redis-server on the servers' core, once it answers."""
    port = free_port()
    flags = ["--bind", "127.0.0.1", "--port", port, "--save", "", *persistence, "--dir", folder]
    process = processes.serve(["redis-server", *flags], core=cores.server, log=folder / f"{name}.log")
    connect(port).close()
    return Server(name, process, port)


def free_port():
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port, timeout_s=10):
    """A connection to loopback, tried until the server listens."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout_s)
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failure(f"nothing listens on port {port}: {error}") from None
            time.sleep(0.05)


def fill_redis(port, customers, value):
    """Sets the keys that `redis-benchmark -r` asks for: key:000000000000 and so on."""
    with connect(port, 60) as connection, connection.makefile("rb") as replies:
        for first in range(0, customers, 1000):
            keys = range(first, min(first + 1000, customers))
            head = b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n"
            connection.sendall(b"".join(head % (key, len(value)) + value + b"\r\n" for key in keys))
            for _ in keys:
                if (reply := replies.readline()) != b"+OK\r\n":
                    raise Failure(f"Redis answered SET with {reply!r}")


def redis_hits(port):
    """How many GETs found their key since the start."""
    return int(re.search(r"^keyspace_hits:(\d+)", redis_info(port, "stats"), re.MULTILINE)[1])


def redis_info(port, section):
    """What INFO says in one section."""
    with connect(port) as connection, connection.makefile("rb") as replies:
        connection.sendall(b"*2\r\n$4\r\nINFO\r\n$%d\r\n%s\r\n" % (len(section), section.encode()))
        return replies.read(int(replies.readline()[1:])).decode()


def post(connection, path, body, what, content="text/csv"):
    """Posts rows; a rejected one fails the run."""
    connection.request("POST", path, body, {"Content-Type": content})
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise Failure(f"{what}: status {response.status}: {answer[:500].decode(errors='replace')}")
    report = json.loads(answer)
    if report["rejected"]:
        raise Failure(f"{what}: rejected {report['rejected'][0]}")
    return report["accepted"]


def load_customers(server, path):
    """Posts a customer file, in parts under its header; gives back how many memberships were accepted."""
    header, _, rows = path.read_bytes().partition(b"\n")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    parts = (header + b"\n" + part for part in split_rows(rows))
    return sum(post(connection, "/events?kind=customers", part, path.name) for part in parts)


def load_plays(server, rows, path="/events?kind=plays", content="text/csv"):
    """Posts rows as fast as the server takes them; gives back how many were accepted."""
    parts = split_rows(rows)
    accepted, failures = [], []
    turn = threading.Lock()

    def work():
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        while not failures:
            with turn:
                part = next(parts, None)
            if part is None:
                return
            try:
                accepted.append(post(connection, path, part, "loading", content))
            except (Failure, OSError, http.client.HTTPException) as failure:
                failures.append(failure)

    loaders = [threading.Thread(target=work) for _ in range(LOADERS)]
    for loader in loaders:
        loader.start()
    for loader in loaders:
        loader.join()
    if failures:
        raise Failure(f"loading plays: {failures[0]}")
    return sum(accepted)


def split_rows(rows):
    """The rows in parts of at most BODY_BYTES; `rows` are bytes, or a mapped file."""
    start = 0
    while start < len(rows):
        end = len(rows) if len(rows) - start <= BODY_BYTES else rows.rfind(b"\n", start, start + BODY_BYTES) + 1
        yield rows[start:end]
        start = end


def typical_reply(server, ids):
    """One whole answer, head and body, of the median length among those to `ids` (dry runs)."""
    replies = []
    with connect(server.port) as connection:
        for customer in ids:
            request = f"GET /should-show-ad/{customer}?dry_run=true HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            connection.sendall(request.encode())
            replies.append(read_reply(connection))
    return sorted(replies, key=len)[len(replies) // 2]


def read_reply(connection):
    """One reply from a keep-alive connection, byte for byte."""
    reply = b""
    while b"\r\n\r\n" not in reply:
        reply += receive(connection)
    head, _, body = reply.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise Failure(f"a decision was answered with {head.decode()}")
    length = int(re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)[1])
    while len(body) < length:
        body += receive(connection)
    return head + b"\r\n\r\n" + body


def receive(connection):
    """The next bytes."""
    if not (more := connection.recv(65536)):
        raise Failure("the server closed the connection within a reply")
    return more


def metrics(server):
    """Every sample on /metrics, by its name with labels."""
    connection = http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def changed(before, after, metric, **labels):
    """How much the samples of one metric with these labels grew, by their labels."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    return {
        name: after[name] - before.get(name, 0)
        for name in after
        if name.startswith(metric + "{") and all(label in name for label in wanted)
    }
