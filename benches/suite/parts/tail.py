"""The tail: latencies at half of saturation while plays are written, windows roll, and everything rare is provoked."""

import http.client
import shutil
import signal
import subprocess
import time
from pathlib import Path
from statistics import median

from suite import loads, servers, text, tools
from suite.failure import Failure
from suite.processes import pinned
from suite.tools import say

NAME = "tail"
TITLE = "The tail, open loop"
LIMITS_S = 420, 150

# Plays written meanwhile.
EVENTS_PER_S = 20_000
# One of so many requests is logged, where the server can do that.
LOGGED = 100
# Tables of a power of two that are filled to so much grow; new customers are added up to just below that, so that a few
# more during the run make them grow.
FULL = 7 / 8
# Of that many, so many come before and during the run.
JUST_BELOW, BURST = 0.01, 0.02
# Rows of the bulk body.
BULK_ROWS = 20_000
# A worst latency after nothing at all says what the others have to be compared with.
NOTHING = "nothing"


def run(stage):
    """The floor, and Upbeat by itself and with everything going on, in turn."""
    customers, seconds, rounds = stage.pick(1_000_000, 2_000), stage.pick(8, 3), stage.pick(3, 1)
    history = stage.history(customers)
    tail = Tail(stage, history)
    tail.start()
    rate = tail.saturation() / 2
    rounds_of = {"floor": [], "upbeat": [], "upbeat, everything": []}
    for turn in range(rounds):
        for name, server, during in tail.turns(turn):
            events = 0 if name == "upbeat" else EVENTS_PER_S
            result = stage.openloop(server, history.ids_file, rate, seconds, events_per_s=events, during=during)
            rounds_of[name].append(result)
            say(f"tail {turn + 1}/{rounds}, {name}: p99.9 {result['p999_us']:,.0f} µs, max {result['max_us']:,.0f} µs")
    tail.all_well()
    data = {"customers": customers, "rate": rate, "seconds": seconds, "rounds": rounds_of, "swaps": tail.can_swap,
            "logs": tail.logs}
    if stage.oha:
        data["oha"] = tail.oha(rate, seconds)
    return data


class Tail:
    """The two servers, and what is done to one of them."""

    def __init__(self, stage, history):
        self.stage, self.history = stage, history
        self.made = 0

    def start(self):
        """Upbeat with its tables all but full, and the floor."""
        stage, history = self.stage, self.history
        model = stage.folder / "model.json"
        shutil.copy(tools.ROOT / "model/default.json", model)
        sampled = f"[log]\nsample = {LOGGED}\n"
        self.logs = is_known(stage, sampled)
        config = sampled if self.logs else ""
        self.upbeat = stage.start_upbeat("tail", config=config, flags=["--model", model])
        self.can_swap = handles(self.upbeat.pid, signal.SIGHUP)
        say(f"loading {history.plays:,} plays")
        history.load(self.upbeat)
        room = 1
        while FULL * room < history.customers:
            room *= 2
        self.full = int(FULL * room)
        self.newcomers(int((1 - JUST_BELOW) * self.full) - history.customers)
        self.before = servers.metrics(self.upbeat)
        reply = servers.typical_reply(self.upbeat, history.ids[:200])
        floor = tools.PROGRAMS / "floor"
        self.floor = servers.start_floor(stage.processes, stage.cores, floor, reply, stage.folder)

    def newcomers(self, count):
        """So many customers that nobody has heard of, with a play each."""
        if count > 0:
            servers.load_plays(self.upbeat, self.newcomer_rows(count))

    def newcomer_rows(self, count):
        first = 10**9 + self.made
        return self.rows(range(first, first + count))

    def rows(self, customers):
        """One new play of each as CSV, all of yesterday."""
        yesterday = time.strftime("%Y-%m-%d 12:00:00", time.gmtime(time.time() - 86_400))
        lines = []
        for customer in customers:
            self.made += 1
            lines.append(f'{9 * 10**15 + self.made},{customer},{customer % 1750},"{yesterday}",1,"10234"\n')
        return "".join(lines).encode()

    def saturation(self):
        """Decisions a second of a closed loop."""
        return self.stage.wrk(self.upbeat, "decisions.lua", self.history.ids_file, self.stage.pick(3, 1)).per_s

    def turns(self, turn):
        """What is measured in each round."""
        bulk = self.rows(int(self.history.ids[at % self.history.customers]) for at in range(BULK_ROWS))
        newcomers = self.newcomer_rows(int(BURST * self.full))
        acts = [
            (NOTHING, lambda: None),
            ("metrics scrape", lambda: servers.metrics(self.upbeat)),
            ("bulk body", lambda: self.post(bulk)),
            ("new customers, tables grow" if turn == 0 else "new customers", lambda: self.post(newcomers)),
            ("metrics scrape", lambda: servers.metrics(self.upbeat)),
            (NOTHING, lambda: None),
        ]
        if self.can_swap:
            acts.insert(1, ("model swap", lambda: self.upbeat.process.send_signal(signal.SIGHUP)))
            acts.append(("model swap", lambda: self.upbeat.process.send_signal(signal.SIGHUP)))
        return [
            ("floor", self.floor, None),
            ("upbeat", self.upbeat, None),
            ("upbeat, everything", self.upbeat, lambda mark: self.provoke(acts, mark)),
        ]

    def provoke(self, acts, mark):
        """One act after the other, evenly over the run."""
        start = time.monotonic()
        period_s = self.stage.pick(8, 3) / (len(acts) + 1)
        with pinned(self.stage.cores.load):
            for number, (name, act) in enumerate(acts, 1):
                time.sleep(max(start + number * period_s - time.monotonic(), 0))
                mark(name)
                act()

    def post(self, rows):
        connection = http.client.HTTPConnection("127.0.0.1", self.upbeat.port, timeout=60)
        servers.post(connection, "/events?kind=plays", rows, "a body")

    def all_well(self):
        """Fails the part when an event was refused, or known before."""
        after = servers.metrics(self.upbeat)
        for outcome in ("rejected", "duplicate"):
            count = sum(servers.changed(self.before, after, "upbeat_events_total", outcome=outcome).values())
            if count:
                raise Failure(f"{count:.0f} events were counted as {outcome}")

    def oha(self, rate, seconds):
        """A second opinion on the quiet server."""
        stage = self.stage
        urls = stage.folder / "urls"
        urls.write_text("".join(f"{self.upbeat.url}/should-show-ad/{customer}\n" for customer in self.history.ids))
        program = tools.install_oha()
        return vars(loads.oha(stage.processes, stage.cores, self.upbeat, program, urls, rate, seconds))


def is_known(stage, config):
    """Whether this Upbeat knows these keys."""
    file = stage.folder / "try.toml"
    file.write_text(config)
    check = [stage.upbeat, "serve", "--check-config", "--config", file]
    return subprocess.run(check, capture_output=True, timeout=20, check=False).returncode == 0


def handles(pid, number):
    """Whether a process has a handler for a signal; without one it would end."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


# --- The page --------------------------------------------------------------------------------------------------------


def page(data):
    rate, rounds = data["rate"], data["rounds"]
    columns = ["server", "CPU/request, µs", "p50, µs", "p99, µs", "p99.9, µs", "max, µs"]
    rows = []
    for name, results in rounds.items():
        fields = ("cpu_us", "p50_us", "p99_us", "p999_us", "max_us")
        rows.append([name, *(text.spread([result[field] for result in results]) for field in fields)])
    marked = {}
    for result in rounds["upbeat, everything"]:
        for mark in result["marks"]:
            marked.setdefault(mark["name"], []).append(mark["worst_us"])
    left_out = [] if data["swaps"] else ["This server does not reread its model on SIGHUP, so no model was swapped."]
    logged = f"One request of {LOGGED} was logged to a file." if data["logs"] else "Requests were not logged."
    real_time = all(result["real_time"] for results in rounds.values() for result in results)
    return [
        f"`benches/http/openloop.c` asks for {rate:,.0f} decisions a second, half of what a closed loop reached, over "
        f"{loads.CONNECTIONS} connections; a latency counts from when its request was due. Rounds of "
        f"{data['seconds']} s: {len(rounds['floor'])}; {data['customers']:,} customers. *upbeat, everything* takes "
        f"{EVENTS_PER_S:,} plays/s as JSON meanwhile, half of them 28 days old in a few seconds, so that the windows of "
        "thousands of customers roll, and what is marked below. *floor* is sent the same bytes, plays included: that is "
        "what generator, kernel and machine cost by themselves. The generator "
        f"{'had' if real_time else 'did not have'} real-time priority on its core.",
        "",
        *text.table(columns, rows),
        "",
        "The worst latency of the requests that were under way or due within 100 ms after each mark, over all rounds "
        f"({NOTHING} is marked too, for comparison):",
        "",
        *text.table(["marked", "times", "worst, µs"], [
            [name, len(worst), text.spread(worst)] for name, worst in marked.items()
        ]),
        "",
        " ".join([logged, *left_out]),
        *([f"oha on the quiet server: p99.9 {data['oha']['p999_us']:,.0f} µs."] if "oha" in data else []),
    ]


def budgets(data):
    p999 = lambda name: median(result["p999_us"] for result in data["rounds"][name])
    floor, ours = p999("floor"), p999("upbeat, everything")
    bound = max(1000, 1.5 * floor)
    what = "open-loop p99.9 at half of saturation, 20,000 events/s written, everything provoked"
    budget = f"≤ max(1 ms, 1.5 × the floor's) = {bound / 1000:.2f} ms"
    return [(what, budget, f"{ours / 1000:.2f} ms", ours <= bound)]


def plots(data):
    last = data["rounds"]["upbeat, everything"][-1]
    series = []
    for name, results in data["rounds"].items():
        result = results[-1]
        xs = [at * result["slice_s"] for at in range(len(result["slices_us"]))]
        series.append({"name": name, "x": xs, "y": [us / 1000 for us in result["slices_us"]]})
    return [{
        "file": "tail", "title": "Worst latency in each 100 ms, last round", "x": "seconds", "y": "ms", "log_y": True,
        "series": series, "marks": [[mark["at_s"], mark["name"]] for mark in last["marks"]],
    }]
