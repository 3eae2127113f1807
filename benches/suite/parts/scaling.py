"""Cost against size, each with a plot and the sentence that explains it, held against what was measured."""

import json
from dataclasses import asdict
from statistics import median

from suite import text
from suite.processes import resident_bytes
from suite.stage import available_bytes, files_allowed
from suite.tools import say

NAME = "scaling"
TITLE = "Cost against size"
LIMITS_S = 420, 180
ENGINE = True

# Bytes a customer of 10 plays may take before the largest store is left out.
BYTES_OF_TEN = 2048
# A curve is flat when its ends are apart by less than this factor.
FLAT = 1.5


def run(stage):
    """One short measurement for each size."""
    repeats = stage.pick(3, 1)
    sizes = {
        "customers": stage.pick([10**3, 10**4, 10**5, 10**6, 10**7], [10**3, 10**4]),
        "plays": stage.pick([10, 20, 40, 80, 160, 256], [10, 256]),
        "vectors": stage.pick([6, 20, 100, 500, 2000, 5000], [6, 500]),
    }
    data = {"repeats": repeats, "left_out": []}
    for what, of_what in sizes.items():
        data[what] = []
        for size in of_what:
            if what == "customers" and size * BYTES_OF_TEN > available_bytes():
                data["left_out"].append(f"{size:,} customers do not fit in this machine's memory")
                continue
            command = [stage.engine_benches / "scaling", what, size, repeats]
            data[what].append(json.loads(stage.run(command, 300)))
            say(f"scaling, {size:,} {what}: {median(data[what][-1]['cached_ns']):.0f} ns cached")
    data["customers_http"] = [over_http(stage, size) for size in stage.pick([10**3, 10**4, 10**5, 10**6], [10**3])]
    data["connections"] = over_connections(stage, data)
    return data


def over_http(stage, customers):
    """A closed loop over so many customers."""
    history = stage.history(customers)
    server = stage.start_upbeat(f"of-{customers}")
    history.load(server)
    stage.wrk(server, "decisions.lua", history.ids_file, 1)
    repeats, seconds = stage.pick((2, 2), (1, 1))
    samples = [asdict(stage.wrk(server, "decisions.lua", history.ids_file, seconds)) for _ in range(repeats)]
    stage.processes.stop(server.process)
    say(f"scaling, {customers:,} customers over HTTP: {samples[-1]['cpu_us']:.2f} µs CPU")
    return {"size": customers, "samples": samples}


def over_connections(stage, data):
    """Closed loops of ever more connections."""
    wanted = stage.pick([1, 10, 32, 100, 1000, 10_000], [1, 100])
    allowed = files_allowed(wanted[-1] + 1000)
    history = stage.history(stage.pick(10_000, 1000))
    server = stage.start_upbeat("connections", config=f"[limits]\nconnections = {wanted[-1] + 1000}\n")
    history.load(server)
    results = []
    for size in wanted:
        if size + 200 > allowed:
            data["left_out"].append(f"{size:,} connections: a process may open no more than {allowed:,} files here")
            continue
        seconds = stage.pick(3, 1)
        samples = [asdict(stage.wrk(server, "decisions.lua", history.ids_file, seconds, connections=size))]
        results.append({"size": size, "samples": samples, "resident": resident_bytes(server.pid)})
        say(f"scaling, {size:,} connections: {samples[0]['cpu_us']:.2f} µs CPU")
    stage.processes.stop(server.process)
    return results


# --- The page --------------------------------------------------------------------------------------------------------


def shape(curve):
    """Growth of the last point over the first, the exponent of a power law between the last two, in words."""
    import math

    (x1, y1), (x2, y2) = curve[-2:]
    exponent = math.log(y2 / y1) / math.log(x2 / x1)
    return curve[-1][1] / curve[0][1], exponent


def medians(rows, field):
    return [(row["size"], median(row[field])) for row in rows]


def http_medians(rows):
    return [(row["size"], median(sample["cpu_us"] for sample in row["samples"])) for row in rows]


def explained(expected, curve, unit, holds):
    """The sentence that explains a curve, or that the measurement does not bear it out."""
    growth, exponent = shape(curve)
    measured = (f"From {curve[0][0]:,} to {curve[-1][0]:,}: × {growth:.1f} ({text.figure(curve[0][1])} to "
            f"{text.figure(curve[-1][1])} {unit}), exponent {exponent:.2f} at the end.")
    if holds(growth, exponent):
        return f"{expected} {measured}"
    return f"**Not as expected** ({expected[0].lower()}{expected[1:-1]}). {measured}"


def page(data):
    cached = medians(data["customers"], "cached_ns")
    over_http = http_medians(data["customers_http"])
    plays_cached = medians(data["plays"], "cached_ns")
    plays_recomputed = medians(data["plays"], "recomputed_ns")
    vectors = medians(data["vectors"], "recomputed_ns")
    connections = http_medians(data["connections"])
    engine_table = lambda rows, what: text.table([what, "score cached, ns", "score recomputed, ns"], [
        [f"{row['size']:,}", text.spread(row["cached_ns"]), text.spread(row["recomputed_ns"])] for row in rows
    ])
    http_table = lambda rows, what: text.table([what, "CPU/request, µs", "requests/s", "p99, µs"], [
        [f"{row['size']:,}", *(text.spread([sample[field] for sample in row["samples"]])
                               for field in ("cpu_us", "per_s", "p99_us"))] for row in rows
    ])
    return [
        f"Short measurements, {data['repeats']} repeats; without HTTP unless it says so.",
        *(f"\nLeft out: {reason}." for reason in data["left_out"]),
        "",
        "### Customers",
        "",
        *engine_table(data["customers"], "customers, 10 plays each"),
        "",
        *http_table(data["customers_http"], "customers, over HTTP"),
        "",
        explained("One lookup in a hash table whatever its size: what grows is the time that memory takes once the "
                  "profiles no longer fit the caches.", cached, "ns, cached", lambda growth, exponent: exponent < 0.5),
        explained("Over HTTP these cache misses are small against the time that the kernel takes for the bytes.", over_http,
                  "µs", lambda growth, exponent: growth < FLAT) if len(over_http) > 1 else "",
        "",
        "![CPU per decision against customers](benchmarks/scaling-customers.svg)",
        "",
        "### Plays per customer",
        "",
        *engine_table(data["plays"], "plays per customer"),
        "",
        explained("A cached score does not read the plays.", plays_cached, "ns, cached",
                  lambda growth, exponent: growth < 2),
        explained("A recomputed score counts each play in the window once, so it grows in proportion at most.",
                  plays_recomputed, "ns, recomputed", lambda growth, exponent: exponent < 1.3),
        "",
        "![Time per decision against plays](benchmarks/scaling-plays.svg)",
        "",
        "### Support vectors",
        "",
        *engine_table(data["vectors"], "support vectors, RBF"),
        "",
        explained("A score sums up a kernel value for each support vector, so it grows in proportion once they outweigh "
                  "the rest; a cached one is only read.", vectors, "ns, recomputed",
                  lambda growth, exponent: 0.6 < exponent < 1.3),
        "",
        "![Time per decision against support vectors](benchmarks/scaling-vectors.svg)",
        "",
        "### Connections",
        "",
        *http_table(data["connections"], "connections, closed loop over HTTP"),
        "",
        explained("A decision costs the more the fewer are answered each time the server wakes; beyond some tens of "
                  "connections only the caches notice their number.", connections[1:] or connections, "µs",
                  lambda growth, exponent: exponent < 0.3) if len(connections) > 2 else "",
        "",
        "![CPU per decision against connections](benchmarks/scaling-connections.svg)",
    ]


def budgets(_data):
    return []


def plots(data):
    def lines(name, rows, field):
        ys = [row[field] for row in rows]
        return {"name": name, "x": [row["size"] for row in rows], "y": [median(y) for y in ys],
                "low": [min(y) for y in ys], "high": [max(y) for y in ys]}

    def of_http(name, rows, scale):
        ys = [[sample["cpu_us"] * scale for sample in row["samples"]] for row in rows]
        return {"name": name, "x": [row["size"] for row in rows], "y": [median(y) for y in ys],
                "low": [min(y) for y in ys], "high": [max(y) for y in ys]}

    drawn = []
    for what, label in (("customers", "customers"), ("plays", "plays per customer"), ("vectors", "support vectors")):
        series = [lines("score cached", data[what], "cached_ns"), lines("score recomputed", data[what], "recomputed_ns")]
        if what == "customers":
            series.append(of_http("CPU over HTTP", data["customers_http"], 1000))
        drawn.append({"file": f"scaling-{what}", "title": f"Time per decision against {label}", "x": label, "y": "ns",
                      "log_x": True, "log_y": True, "series": series})
    drawn.append({"file": "scaling-connections", "title": "CPU per decision over HTTP against connections",
                  "x": "connections", "y": "µs", "log_x": True, "zero_y": True,
                  "series": [of_http("closed loop", data["connections"], 1)]})
    return drawn
