"""Busy clients of one server, until it is gone: threads with kept connections, and threads with a connection a request.

Prints one line of JSON: how many requests were answered, how many answers announced a close, and the lost ones. Lost is a
request on an open connection without a whole answer of status 200; a connection that is refused is not, since nothing was
sent. http.client does not look whether its connection was closed before it sends, so that it loses what a careless
server does not announce.
"""

import http.client
import json
import sys
import threading

KEPT, ONE_EACH = 16, 16


class Client(threading.Thread):
    """One client; it ends when its connection is refused."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__(daemon=True)
        self.port, self.number = port, number
        self.keeps = number < KEPT
        self.answered, self.announced, self.lost = 0, 0, []

    def run(self) -> None:
        connection = None
        while True:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                try:
                    connection.connect()
                except OSError:
                    return
            try:
                will_close = self.ask(connection)
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(f"{'kept' if self.keeps else 'new'} connection: {error!r}")
                will_close = True
            if will_close or not self.keeps:
                connection.close()
                connection = None

    def ask(self, connection: http.client.HTTPConnection) -> bool:
        # One of four requests is the router's.
        path = "/healthz" if self.answered % 4 == 3 else f"/should-show-ad/{self.number}?dry_run=true"
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            self.lost.append(f"{path}: status {response.status}")
        self.answered += 1
        self.announced += response.will_close
        return response.will_close


def main() -> None:
    clients = [Client(int(sys.argv[1]), number) for number in range(KEPT + ONE_EACH)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    total = {"answered": 0, "announced": 0, "lost": []}
    for client in clients:
        total["answered"] += client.answered
        total["announced"] += client.announced
        total["lost"] += client.lost
    print(json.dumps(total))


if __name__ == "__main__":
    main()
