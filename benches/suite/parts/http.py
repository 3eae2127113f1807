"""Closed loops over HTTP: decisions against a bare epoll loop and Redis, single events, batches, bulk bodies."""

import time
from dataclasses import asdict
from statistics import median

from suite import loads, servers, text, tools
from suite.failure import Failure
from suite.stage import PLAYS, ingest
from suite.tools import say

NAME = "http"
TITLE = "Decisions and events over HTTP, closed loop"
LIMITS_S = 720, 180

# A typical reply is looked for among so many customers.
SAMPLED_CUSTOMERS = 200
# Customers in one request of batch.lua.
BATCH = 1000
# Decisions on connections that have carried other requests before.
POOLED = ("pooled", "upgrade")
# The server with the four campaigns that ship, and its document.
FOUR = "four"
CAMPAIGNS = tools.ROOT / "model/campaigns.toml"


def run(stage):
    """Loads a server, and lets all servers take turns under all loads."""
    customers, seconds, rounds = stage.pick(1_000_000, 2_000), stage.pick(5, 1), stage.pick(3, 1)
    history = stage.history(customers)
    bench = Bench(stage, history, rounds, seconds)
    bench.load()
    bench.start_others()
    bench.closed_loops()
    bench.bulk(stage.pick(500_000, 20_000))
    return bench.data


class Bench:
    """The servers while they run, and what was measured."""

    def __init__(self, stage, history, rounds, seconds):
        self.stage, self.history, self.rounds, self.seconds = stage, history, rounds, seconds
        self.data = {
            "customers": history.customers, "plays": history.plays, "rounds": rounds, "seconds": seconds,
            "closed": {}, "bulk": {},
        }

    def load(self):
        """The server to be measured, the one of --against, and one with four campaigns, each with the whole history and its log
        on."""
        binaries = {"upbeat": self.stage.upbeat}
        if self.stage.against:
            binaries["before"] = self.stage.against
        self.upbeats = []
        for name, binary in binaries.items():
            say(f"loading {self.history.plays:,} plays into {name}")
            server = self.stage.start_upbeat(name, binary)
            wall_s, cpu_s = self.history.load(server)
            self.upbeats.append(server)
            if name == "upbeat":
                self.data["load"] = {"per_s": self.history.plays / wall_s, "cpu_us": cpu_s / self.history.plays * 1e6}
        say(f"loading {self.history.plays:,} plays into {FOUR}")
        self.four = self.stage.start_upbeat(FOUR, flags=["--campaigns", CAMPAIGNS])
        self.history.load(self.four)

    def start_others(self):
        """The floor and Redis, with replies of the length of Upbeat's."""
        stage, history = self.stage, self.history
        reply = servers.typical_reply(self.upbeats[0], history.ids[:SAMPLED_CUSTOMERS])
        self.data["reply_bytes"] = len(reply)
        floor = tools.PROGRAMS / "floor"
        self.floor = servers.start_floor(stage.processes, stage.cores, floor, reply, stage.folder)
        self.redis = servers.start_redis(stage.processes, stage.cores, stage.folder, history.customers, reply)

    def closed_loops(self):
        """Everybody in turn, so that a slow minute of the machine hits all alike."""
        deciding = [*self.upbeats, self.four]
        scripts = [("decisions", "decisions.lua", [self.floor, *deciding])]
        scripts += [(name, f"{name}.lua", deciding) for name in POOLED]
        scripts += [(name, f"{name}.lua", self.upbeats) for name in ("events", "mixed", "batch")]
        for server in (self.floor, *deciding):
            self.wrk(server, "decisions.lua", 1)
        redis_rate = self.redis_benchmark(1, 20_000).per_s
        before, before_four = servers.metrics(self.upbeats[0]), servers.metrics(self.four)
        for turn in range(self.rounds):
            for load, script, over_http in scripts:
                for server in over_http:
                    self.note(turn, load, server.name, self.wrk(server, script, self.seconds))
                if load == "decisions":
                    self.note(turn, load, "redis", self.redis_benchmark(self.seconds, redis_rate))
        after = servers.metrics(self.upbeats[0])
        for outcome in ("rejected", "duplicate"):
            count = sum(servers.changed(before, after, "upbeat_events_total", outcome=outcome).values())
            if count:
                raise Failure(f"{count:.0f} events were counted as {outcome}")
        self.data["reasons"] = reasons(before, after)
        self.data["reasons_of_four"] = reasons(before_four, servers.metrics(self.four))

    def wrk(self, server, script, seconds):
        return self.stage.wrk(server, script, self.history.ids_file, seconds)

    def redis_benchmark(self, seconds, rate):
        stage = self.stage
        customers = self.history.customers
        return loads.redis_benchmark(stage.processes, stage.cores, self.redis, customers, seconds, rate)

    def note(self, turn, load, name, sample):
        self.data["closed"].setdefault(load, {}).setdefault(name, []).append(asdict(sample))
        say(f"{load} {turn + 1}/{self.rounds}, {name}: {sample.per_s:,.0f}/s, {sample.cpu_us:.2f} µs CPU")

    def bulk(self, count):
        """New plays of known customers, in large bodies."""
        for turn in range(self.rounds):
            for form, content in (("csv", "text/csv"), ("ndjson", "application/x-ndjson")):
                rows = new_plays(self.history.ids, form, count, turn)
                path = "/events?kind=plays" if form == "csv" else "/events"
                accepted, wall_s, cpu_s = ingest(self.stage, self.upbeats[0], rows, path=path, content=content)
                if accepted != count:
                    raise Failure(f"of {count} new plays as {form} {accepted} were accepted")
                sample = {"per_s": accepted / wall_s, "cpu_us": cpu_s / accepted * 1e6}
                self.data["bulk"].setdefault(form, []).append(sample)
                say(f"bulk {turn + 1}/{self.rounds}, {form}: {sample['per_s']:,.0f}/s, {sample['cpu_us']:.2f} µs CPU")


def reasons(before, after):
    """How often each reason was given meanwhile."""
    counts = servers.changed(before, after, "upbeat_decisions_total")
    return {name.split('"')[1]: count for name, count in counts.items()}


def new_plays(ids, form, count, turn):
    """Rows that no server has seen, of customers in an order like chance, all of a minute of yesterday."""
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400))
    first = (10 + 2 * turn + (form == "csv")) * 10**15
    rows = []
    for number in range(count):
        customer, track, second = ids[number * 7919 % len(ids)], number % 1750, number % 60
        if form == "csv":
            rows.append(f'{first + number},{customer},{track},"{day} 12:00:{second:02}",{number % 2},"10234"\n')
        else:
            rows.append(
                f'{{"type":"play","event_id":{first + number},"customer_id":{customer},"track_id":{track},'
                f'"time":"{day}T12:00:{second:02}","mobile":{"true" if number % 2 else "false"},"zip":"10234"}}\n'
            )
    return "".join(rows).encode()


# --- The page --------------------------------------------------------------------------------------------------------


def of(data, load, name, field):
    """A figure of each round."""
    return [sample[field] for sample in data["closed"][load][name]]


def ratios(data, load, name, base_load, base, field="cpu_us"):
    """Round by round: a figure by that of another server or load in the same round."""
    return [one / other for one, other in zip(of(data, load, name, field), of(data, base_load, base, field))]


def of_medians(data, load, name, base_load, base, field="cpu_us"):
    return median(of(data, load, name, field)) / median(of(data, base_load, base, field))


def loop_table(data, loads):
    times = ["p50, µs", "p99, µs", "p99.9, µs", "max, µs"]
    columns = ["load, server", "requests/s", "CPU/request, µs", "core busy", *times]
    rows = []
    for load in loads:
        for name, samples in data["closed"][load].items():
            field = lambda field: [sample[field] for sample in samples]
            busy = text.spread([100 * sample["busy"] for sample in samples], 2) + " %"
            times_of_load = [text.spread(field(of)) for of in ("p50_us", "p99_us", "p999_us", "max_us")]
            rows.append([f"{load}, {name}", text.spread(field("per_s"), 5), text.spread(field("cpu_us")), busy, *times_of_load])
    return text.table(columns, rows)


def page(data):
    others = median(s["others"] for servers in data["closed"].values() for samples in servers.values() for s in samples)
    noise = [] if others < 0.05 else [f"**Other processes took {others:.0%} of the servers' core.**", ""]
    by = lambda base: ratios(data, "decisions", "upbeat", "decisions", base)
    pairs = [
        ("CPU per decision by the floor's", by("floor")),
        ("CPU per decision by Redis's `GET`", by("redis")),
        *((f"CPU per decision, {name}, by that on fresh connections", ratios(data, name, "upbeat", "decisions", "upbeat"))
          for name in POOLED),
        ("CPU per decision of four campaigns by the floor's", ratios(data, "decisions", FOUR, "decisions", "floor")),
        ("CPU per decision of four campaigns by that of one", ratios(data, "decisions", FOUR, "decisions", "upbeat")),
        *((f"CPU per decision of four campaigns, {name}, by that on fresh connections",
           ratios(data, name, FOUR, "decisions", FOUR)) for name in POOLED),
        ("rate of single events by that of decisions", ratios(data, "events", "upbeat", "decisions", "upbeat", "per_s")),
    ]
    if "before" in data["closed"]["decisions"]:
        pairs.append(("CPU per decision by the other binary's", by("before")))
    return [
        f"{data['customers']:,} customers with {data['plays']:,} plays, {PLAYS} each on the average so that loading "
        f"does not take the time of the run. `upbeat serve --workers 1` is on one core, one wrk thread with "
        f"{loads.CONNECTIONS} connections on the other; rounds of {data['seconds']} s: {data['rounds']}, servers and "
        "loads in turn within each. *decisions* asks `GET /should-show-ad/{id}` of random customers. *floor* is a bare "
        f"epoll loop in C that answers the same {data['reply_bytes']} bytes; *redis* answers `redis-benchmark` `GET`s "
        "of as many. *upbeat* has the default campaign and *four* the four that ship (`model/campaigns.toml`), each with its log on. "
        "*pooled* asks the same on "
        "connections that have each carried a bulk body, a body in chunks and a health check, as behind a proxy; with "
        "*upgrade* every request offers h2c besides, as those of Java's client do. *events* posts one play a request as JSON, *mixed* nine decisions to one play, *batch* asks "
        f"`POST /decisions` about {BATCH:,} customers. Every request was answered 200, every event accepted.",
        "",
        *noise,
        *loop_table(data, data["closed"]),
        "",
        *text.table(["ratio", "round by round"], [[name, text.spread(values)] for name, values in pairs]),
        "",
        f"Answers: {answers(data['reasons'])}; of four campaigns {answers(data['reasons_of_four'])}.",
        "",
        f"Bulk bodies of at most 4 MiB, two at once. All plays of the history into the empty server, as CSV: "
        f"{data['load']['per_s']:,.0f} events/s, {data['load']['cpu_us']:.2f} µs CPU each. New "
        "plays into the full one:",
        "",
        *text.table(["rows", "events/s", "CPU/event, µs"], [
            [form, text.spread([s["per_s"] for s in samples], 4), text.spread([s["cpu_us"] for s in samples])]
            for form, samples in data["bulk"].items()
        ]),
    ]


def answers(reasons):
    """The share of each reason, the most frequent first."""
    total = sum(reasons.values()) or 1
    shares = sorted(reasons.items(), key=lambda item: -item[1])
    return ", ".join(f"{reason} {100 * count / total:.1f} %" for reason, count in shares if count)


def budgets(data):
    four = of_medians(data, "decisions", FOUR, "decisions", "floor")
    four_pooled = max(of_medians(data, name, FOUR, "decisions", FOUR) for name in POOLED)
    floor = of_medians(data, "decisions", "upbeat", "decisions", "floor")
    redis = of_medians(data, "decisions", "upbeat", "decisions", "redis")
    events = of_medians(data, "events", "upbeat", "decisions", "upbeat", "per_s")
    batch = median(of(data, "batch", "upbeat", "cpu_us")) / BATCH
    bulk = min(median(s["per_s"] for s in samples) for samples in data["bulk"].values())
    pooled = max(of_medians(data, name, "upbeat", "decisions", "upbeat") for name in POOLED)
    return [
        ("CPU per decision over HTTP, by a bare epoll loop's", "≤ 1.15", f"{floor:.2f}", floor <= 1.15),
        ("the same, by Redis's `GET`", "≤ 1", f"{redis:.2f}", redis <= 1),
        ("the same behind a pool, by that on fresh connections", "≤ 1.05", f"{pooled:.2f}", pooled <= 1.05),
        ("CPU per decision over HTTP with four campaigns, by a bare epoll loop's", "≤ 1.15", f"{four:.2f}", four <= 1.15),
        ("the same with four campaigns behind a pool, by that on fresh connections", "≤ 1.05", f"{four_pooled:.2f}",
         four_pooled <= 1.05),
        ("rate of single JSON events, by that of decisions", "≥ 60 %", f"{events:.0%}", events >= 0.6),
        ("CPU per id of a batch of 1,000", "≤ 0.5 µs", f"{batch:.2f} µs", batch <= 0.5),
        ("bulk ingest over HTTP, the slower of CSV and NDJSON", "≥ 500,000/s", f"{bulk:,.0f}/s", bulk >= 500_000),
    ]
