"""Resident bytes of a store full of customers: benches/engine/src/bin/memory.rs."""

import json

from suite import text
from suite.failure import Failure
from suite.stage import available_bytes
from suite.tools import say

NAME = "memory"
TITLE = "Memory"
LIMITS_S = 480, 150
ENGINE = True

PLAYS = 40
# A store that would take more than this share of what the machine has left is not tried.
SHARE = 0.85


def run(stage):
    """One process for each size."""
    results, left_out = [], []
    for customers in stage.pick([1_000_000, 10_000_000], [10_000, 50_000]):
        if results:
            needed = results[-1]["resident"] / results[-1]["customers"] * customers
            if needed > SHARE * available_bytes():
                reason = f"would take about {needed / 2**30:.0f} GiB, more than there is"
                left_out.append(f"{customers:,} customers: {reason}")
                continue
        command = [stage.engine_benches / "memory", customers, PLAYS, 2]
        result = json.loads(stage.run(command, 60 + customers / 30_000))
        if result["held"] != customers:
            raise Failure(f"of {customers} customers {result['held']} are held")
        say(f"memory, {customers:,} customers: {result['per_customer']:,.0f} bytes each")
        results.append(result)
    return {"plays": PLAYS, "results": results, "left_out": left_out}


def page(data):
    columns = ["customers", "resident, GiB", "bytes/customer", "bytes/play beyond 128/customer",
               "counted by the engine, GiB", "filled in, s", "resident once all are idle and evicted, GiB"]
    rows = []
    for result in data["results"]:
        gib = [f"{result[name] / 2**30:.2f}" for name in ("resident", "counted", "left")]
        each = [f"{result['per_customer']:,.0f}", f"{result['per_play']:.1f}"]
        rows.append([f"{result['customers']:,}", gib[0], *each, gib[1], f"{result['seconds']:,.1f}", gib[2]])
    return [
        f"{data['plays']} plays a customer on the average, each of a random customer, in the order of time, and one "
        "membership a customer, every other one paid for; two threads, no HTTP. Resident memory of the whole process. "
        "Evicted customers keep a paid membership.",
        "",
        *text.table(columns, rows),
        *(f"\nLeft out: {reason}." for reason in data["left_out"]),
    ]


def budgets(data):
    last = data["results"][-1]
    per_play = f"{last['per_play']:.1f} B"
    rows = [(f"memory per play kept beyond 128 B per customer, {last['customers']:,} customers × {data['plays']}",
             "≤ 16 B", per_play, last["per_play"] <= 16)]
    whole = [result for result in data["results"] if result["customers"] == 10_000_000]
    resident = f"{whole[0]['resident'] / 2**30:.2f} GiB" if whole else "did not fit"
    rows.append(("10 M customers × 40 plays", "≤ 8 GiB", resident, bool(whole) and whole[0]["resident"] <= 8 * 2**30))
    return rows
