"""Asks Upbeat before playback. No answer in time means no ad. Standard library only."""

import http.client
import json
import os
import sys
import threading
import urllib.parse

TIMEOUT_S = float(os.environ.get("AD_TIMEOUT_MS", "50")) / 1000  # what the beat before a track can spare


class Upbeat:
    """One kept-alive connection a thread; cheap to share between threads."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._local = threading.local()

    def should_show_ad(self, customer: str) -> bool:
        path = "/should-show-ad/" + urllib.parse.quote(customer, safe="")
        try:
            connection = self._connection()
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            return response.status == 200 and json.loads(body)["show"] is True
        except (OSError, http.client.HTTPException, ValueError):
            self._local.connection = None  # a late answer must not be taken for the next one
            return False

    def _connection(self) -> http.client.HTTPConnection:
        if getattr(self._local, "connection", None) is None:
            self._local.connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_S)
        return self._local.connection


if __name__ == "__main__":
    upbeat = Upbeat(sys.argv[1])
    for customer in sys.argv[2:]:
        print(customer, str(upbeat.should_show_ad(customer)).lower())
