"""Decisions of four campaigns while their models are judged and trained: CPU and latency beside a server at rest and the bare loop."""

import http.client
import json
import random
import threading
import time
from dataclasses import asdict
from statistics import median

from suite import servers, text, tools
from suite.failure import Failure
from suite.tools import say

NAME = "retraining"
TITLE = "Decisions while models are judged and trained"
LIMITS_S = 420, 150

# Every campaign learns, so that a job judges or trains, and a label is known as soon as a decision is so old.
LEARN = '[learn]\nattribution = "1s"\nmin_labels = 1\n'
MODE = 'mode = "apprentice"\n'
# Ads that are clicked, so that there is something to learn.
CLICKED = 0.3
# A job takes a second or two.
JOB_S = 60


def run(stage):
    """The floor, a server at rest, and the same one with a job always under way, in turn."""
    customers, seconds, rounds = stage.pick(250_000, 2_000), stage.pick(8, 2), stage.pick(3, 1)
    history = stage.history(customers)
    campaigns = stage.folder / "campaigns.toml"
    document = (tools.ROOT / "model/campaigns.toml").read_text()
    campaigns.write_text(document.replace("[[campaign]]\n", f"[[campaign]]\n{MODE}"))
    server = stage.start_upbeat("learning", config=LEARN, flags=["--campaigns", campaigns])
    say(f"loading {history.plays:,} plays")
    history.load(server)
    shown, clicked = clicks(server, history.ids, stage.pick(50_000, 2_000))
    reply = servers.typical_reply(server, history.ids[:200])
    floor = servers.start_floor(stage.processes, stage.cores, tools.PROGRAMS / "floor", reply, stage.folder)
    jobs = Jobs(server)
    loops = {}
    for turn in range(rounds):
        for name, of in (("floor", floor), ("at rest", server), ("a job under way", server)):
            busy = jobs if name == "a job under way" else None
            if busy:
                busy.start()
            try:
                sample = stage.wrk(of, "decisions.lua", history.ids_file, seconds)
            finally:
                if busy:
                    busy.stop()
            loops.setdefault(name, []).append(asdict(sample))
            say(f"retraining {turn + 1}/{rounds}, {name}: {sample.cpu_us:.2f} µs CPU, p99.9 {sample.p999_us:,.0f} µs")
    if not jobs.outcomes.get("registered", 0) + jobs.outcomes.get("no_model", 0):
        raise Failure(f"no job came to its training: {jobs.outcomes}")
    return {"customers": customers, "plays": history.plays, "seconds": seconds, "rounds": rounds, "loops": loops,
            "shown": shown, "clicked": clicked, "outcomes": jobs.outcomes, "sentences": jobs.sentences}


def clicks(server, ids, count):
    """Asks about so many customers and clicks some of the ads that are shown: how many were shown, and clicked."""
    chance = random.Random(1)
    shown = clicked = 0
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for first in range(0, min(count, len(ids)), 1_000):
        connection.request("POST", "/decisions", json.dumps({"customers": ids[first:first + 1_000]}),
                           {"Content-Type": "application/json"})
        decided = [of for of in json.loads(connection.getresponse().read())["decisions"] if of["show"]]
        shown += len(decided)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        events = [{"type": "click", "event_id": f"{of['decision_id']}", "customer_id": of["customer"],
                   "decision_id": of["decision_id"], "time": now} for of in decided if chance.random() < CLICKED]
        if events:
            clicked += servers.post(connection, "/events", json.dumps(events), "clicks", "application/json")
    time.sleep(2)  # until labels are known
    return shown, clicked


class Jobs:
    """Learning jobs of all campaigns, one after the other."""

    def __init__(self, server):
        self.server, self.outcomes, self.sentences = server, {}, {}
        connection = self.connect()
        connection.request("GET", "/models")
        self.campaigns = sorted({of["campaign"] for of in json.loads(connection.getresponse().read()) if of["campaign"]})

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.server.admin_port, timeout=JOB_S)

    def start(self):
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def stop(self):
        self.stopping.set()
        self.thread.join()

    def work(self):
        connection = self.connect()
        while True:
            for campaign in self.campaigns:
                connection.request("POST", f"/retrain?campaign={campaign}")
                job = json.loads(connection.getresponse().read())["job"]
                end = time.monotonic() + JOB_S
                while (state := self.look(connection, job))["state"] in ("queued", "running"):
                    if time.monotonic() > end:
                        return
                    time.sleep(0.05)
                outcome = state.get("outcome") or state["state"]
                self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
                self.sentences[outcome] = state["sentence"]
                if self.stopping.is_set():
                    return

    def look(self, connection, job):
        connection.request("GET", f"/retrain/{job}")
        return json.loads(connection.getresponse().read())


# --- The page --------------------------------------------------------------------------------------------------------


def ratios(data, name, base):
    """Round by round: CPU for each decision by another's."""
    return [one["cpu_us"] / other["cpu_us"] for one, other in zip(data["loops"][name], data["loops"][base])]


def page(data):
    rows = [
        [name, text.spread([sample["cpu_us"] for sample in samples]), text.spread([sample["p50_us"] for sample in samples]),
         text.spread([sample["p999_us"] for sample in samples])]
        for name, samples in data["loops"].items()
    ]
    outcomes = ", ".join(f"{outcome} {count}" for outcome, count in sorted(data["outcomes"].items()))
    return [
        f"{data['customers']:,} customers with {data['plays']:,} plays, the four campaigns that ship with `mode = \"apprentice\"` "
        f"and the log on; {data['clicked']:,} of {data['shown']:,} ads that were shown beforehand were clicked. `POST /retrain` of one "
        f"campaign after the other, always one under way, whose process has the lowest priority on the server's own core. "
        f"`upbeat serve --workers 1` in closed loops with wrk, {data['rounds']} rounds of {data['seconds']} s in turn; the CPU is the "
        f"server's, without that of the jobs. Jobs that ended: {outcomes}.",
        "",
        *text.table(["server", "CPU/request, µs", "p50, µs", "p99.9, µs"], rows),
        "",
        *text.table(["ratio of CPU", "round by round"], [
            ["a job under way, by at rest", text.spread(ratios(data, "a job under way", "at rest"))],
            ["a job under way, by the floor", text.spread(ratios(data, "a job under way", "floor"))],
        ]),
    ]


def budgets(data):
    cpu = {name: median(sample["cpu_us"] for sample in samples) for name, samples in data["loops"].items()}
    ratio = cpu["a job under way"] / cpu["floor"]
    return [("CPU per decision with four campaigns in apprentice mode and a retraining under way, by a bare epoll loop's", "≤ 1.15",
             f"{ratio:.2f}", ratio <= 1.15)]
