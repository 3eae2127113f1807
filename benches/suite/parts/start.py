"""Time until the first answer: the demo with its listeners, and a server with an empty store."""

import http.client
import shutil
import time
from statistics import median

from suite import text
from suite.failure import Failure
from suite.servers import free_port
from suite.tools import say

NAME = "start"
TITLE = "Start"
LIMITS_S = 60, 90

# A start that takes longer has failed.
TIMEOUT_S = 20


def run(stage):
    """Both in turn, on all cores."""
    demo, serve = [], []
    for _ in range(stage.pick(7, 2)):
        demo.append(first_answer(stage, ["demo"], "/should-show-ad/1"))
        serve.append(first_answer(stage, ["serve"], "/readyz"))
    say(f"start: demo {median(demo):.3f} s, serve {median(serve):.3f} s")
    return {"demo_s": demo, "serve_s": serve}


def first_answer(stage, role, path):
    """Seconds from the command until `path` is answered 200."""
    data, admin = free_port(), free_port()
    flags = ["--listen", f"127.0.0.1:{data}", "--admin-listen", f"127.0.0.1:{admin}"]
    if role == ["serve"]:
        directory = stage.folder / "start-data"
        shutil.rmtree(directory, ignore_errors=True)
        flags += ["--data-dir", directory]
    log = stage.folder / "start.log"
    start = time.monotonic()
    process = stage.processes.serve([stage.upbeat, *role, *flags], core=None, log=log)
    while status(data, path) != 200:
        if process.poll() is not None or time.monotonic() - start > TIMEOUT_S:
            raise Failure(f"upbeat {role[0]} does not answer {path}:\n{log.read_text()[-2000:]}")
        time.sleep(0.001)
    taken = time.monotonic() - start
    stage.processes.stop(process)
    return taken


def status(port, path):
    """The status of an answer; None without one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def page(data):
    what = {
        "demo_s": "`upbeat demo`: 5,000 listeners with 1,000,000 plays simulated, loaded, first decision answered",
        "serve_s": "`upbeat serve` with an empty store: `/readyz` says yes",
    }
    rows = [[label, text.spread(text.times(data[name], 1000))] for name, label in what.items()]
    return [f"From the command to the answer, {len(data['demo_s'])} starts each.", "", *text.table(["what", "ms"], rows)]


def budgets(data):
    demo, serve = median(data["demo_s"]) * 1000, median(data["serve_s"]) * 1000
    return [
        ("demo of 5,000 customers up", "≤ 300 ms", f"{demo:.0f} ms", demo <= 300),
        ("serve ready with an empty store", "≤ 100 ms", f"{serve:.0f} ms", serve <= 100),
    ]
