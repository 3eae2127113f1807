#!/usr/bin/env python3
"""What an operator does with the units of deploy/, on a machine whose first process is systemd (tests/operator/machine): start,
restart under load, kill -9, reload, watchdog, stop. Says a line of each.
"""

import http.client
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

DATA, ADMIN = 8080, 8081


def run(*command):
    """A command that has to succeed; its output."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout.strip()


def show(name):
    return run("systemctl", "show", "--property", name, "--value", "upbeat.service")


def ask(path, body=None, port=DATA):
    """The JSON of an answer that has to be 200. A connection that is refused fails the check."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST" if body else "GET", path, json.dumps(body) if body else None,
                       {"content-type": "application/json"} if body else {})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, f"{path}: {answer.status} {text}"
    connection.close()
    return json.loads(text)


def until(what, is_so):
    end_by = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end_by, f"timed out waiting until {what}"
        time.sleep(0.02)


def check():
    """Everything that an operator does, in turn; what is said of each."""
    sockets = ["upbeat.socket", "upbeat-admin.socket"]
    run("systemctl", "start", *sockets, "upbeat.service")
    assert show("StatusText") == "serving" and ask("/readyz", port=ADMIN)["status"] == "ready"
    yield "systemctl start returns when the server is ready"
    time_of_event = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    event = {"type": "membership", "event_id": 1, "customer_id": 48, "level": "gold", "time": time_of_event}
    assert ask("/events", event)["accepted"] == 1
    log = ask("/readyz?verbose")["log"]
    assert log["data_dir"] == "/var/lib/upbeat" and log["lanes"].startswith("/run/upbeat/"), log
    yield f"{log['data_dir']} and {log['lanes']} are in use, by user {Path('/proc', show('MainPID')).stat().st_uid}"

    is_over, waits, failures = threading.Event(), [], []

    def work():
        while not is_over.is_set():
            begun = time.monotonic()
            try:
                assert ask("/should-show-ad/48")["reason"] == "already_gold"
            except (OSError, http.client.HTTPException, AssertionError) as error:
                failures.append(repr(error))
            waits.append(time.monotonic() - begun)

    worker = threading.Thread(target=work)
    worker.start()
    run("systemctl", "restart", "upbeat.service")
    assert not failures, failures
    yield "systemctl restart under load refuses and cuts nothing"
    for _ in range(3):
        before = show("MainPID")
        os.kill(int(before), signal.SIGKILL)
        until("the next one is there", lambda: show("MainPID") not in ("0", before) and show("SubState") == "running")
    is_over.set()
    worker.join()
    # A kill may cut the request under way, and refuses none.
    assert len(failures) <= 3 and not any("Refused" in failure for failure in failures), failures
    yield f"three times kill -9: {len(waits)} decisions, {len(failures)} of them cut, the longest wait {max(waits):.2f} s"
    run("systemctl", "reload", "upbeat.service")
    until("it is served again", lambda: show("StatusText") == "serving")
    yield "systemctl reload"

    drop_in = Path("/run/systemd/system/upbeat.service.d/watchdog.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nWatchdogSec=2s\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "upbeat.service")
    restarts, before = show("NRestarts"), show("MainPID")
    time.sleep(5)
    assert show("MainPID") == before and show("NRestarts") == restarts, "a server that goes on is not ended"
    os.kill(int(before), signal.SIGSTOP)
    until("the watchdog has ended it", lambda: show("MainPID") not in ("0", before))
    assert ask("/should-show-ad/48")["reason"] == "already_gold"
    yield "a server that stands still is started again by the watchdog"
    run("systemctl", "stop", *sockets, "upbeat.service")
    assert (show("Result"), show("ExecMainStatus")) == ("success", "0")
    yield "systemctl stop"


for line in check():
    print(f"ok: {line}", flush=True)
