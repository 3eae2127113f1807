"""A burst of connects: how many of many clients that come at once have to send their first packet again, a second later."""

import selectors
import socket
import sys
import time
from statistics import median

from suite import text
from suite.failure import Failure
from suite.stage import files_allowed
from suite.tools import say

NAME = "burst"
TITLE = "A burst of connects"
LIMITS_S = 90, 90

CLIENTS = 1000
# Where struct tcp_info has the number of packets that were sent again (linux/tcp.h, tcpi_total_retrans).
TOTAL_RETRANS = slice(100, 104)
TIMEOUT_S = 20
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def run(stage):
    """Some bursts on a fresh server each, so that none finds the leavings of another."""
    if files_allowed(CLIENTS + 100) < CLIENTS + 100:
        raise Failure(f"{CLIENTS} clients need as many files: raise ulimit -n")
    bursts = []
    for number in range(stage.pick(5, 1)):
        server = stage.start_upbeat(f"burst-{number}")
        bursts.append(burst(server.port))
        say(f"burst {number + 1}: {bursts[-1]['resent']} of {CLIENTS} sent a first packet again")
    return {"clients": CLIENTS, "bursts": bursts}


def burst(port):
    """How many clients sent a first packet again, which they do after a second; seconds from connect to answer of each."""
    selector = selectors.DefaultSelector()
    started, answered, resent = {}, [], 0
    for _ in range(CLIENTS):
        client = socket.socket()
        client.setblocking(False)
        started[client] = time.monotonic()
        client.connect_ex(("127.0.0.1", port))
        selector.register(client, selectors.EVENT_WRITE)
    end = time.monotonic() + TIMEOUT_S
    while len(answered) < CLIENTS:
        if time.monotonic() > end:
            raise Failure(f"{CLIENTS - len(answered)} of {CLIENTS} clients have no answer after {TIMEOUT_S} s")
        for key, events in selector.select(1):
            if events & selectors.EVENT_WRITE:
                info = key.fileobj.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
                resent += int.from_bytes(info[TOTAL_RETRANS], sys.byteorder) > 0
                key.fileobj.send(REQUEST)
                selector.modify(key.fileobj, selectors.EVENT_READ)
            elif key.fileobj.recv(4096).startswith(b"HTTP/1.1 200 "):
                answered.append(time.monotonic() - started[key.fileobj])
                selector.unregister(key.fileobj)
            else:
                raise Failure("a client of the burst was not answered 200")
    for client in started:
        client.close()
    return {"resent": resent, "answered_s": answered}


def page(data):
    bursts = data["bursts"]
    rows = [
        ["clients that sent a first packet again", text.spread([one["resent"] for one in bursts])],
        ["median from connect to answer, ms", text.spread([median(one["answered_s"]) * 1000 for one in bursts])],
        ["longest, ms", text.spread([max(one["answered_s"]) * 1000 for one in bursts])],
    ]
    intro = f"{data['clients']:,} clients connect at once and ask `/healthz` once; {len(bursts)} bursts, a fresh server each."
    return [intro, "", *text.table(["what", "figure"], rows)]


def budgets(data):
    worst = max(one["resent"] for one in data["bursts"])
    return [(f"{data['clients']:,} connects at once that send a first packet again", "0", f"{worst}", worst == 0)]
