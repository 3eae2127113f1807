"""The engine without HTTP, by criterion: benches/engine/benches/engine.rs."""

import json
import os
import shutil

from suite import text, tools

NAME = "engine"
TITLE = "The engine without HTTP"
LIMITS_S = 480, 180
ENGINE = True

# Nanoseconds of each that has a budget.
BUDGETS = {
    "decide/cached": ("decision without HTTP, counts cached", 300),
    "decide/window moved": ("decision without HTTP, counts taken again: window moved on", 1000),
}
# The same by the number of campaigns, with linear models: budget, and what it is of.
CAMPAIGNS = {
    "one_ns": ("one campaign", 300),
    "eight_ns": ("eight campaigns", 600),
    "one_heard_ns": ("one campaign, customers with ad history", 500),
    "eight_heard_ns": ("eight campaigns, customers with ad history", 850),
}
# Others, which have no budget.
OTHERS = {
    "one_logged_ns": "one campaign, customers with ad history, with a log",
    "eight_logged_ns": "eight campaigns, customers with ad history, with a log",
    "rbf_ns": "one campaign, RBF with 100 support vectors",
}
# Things in one iteration.
EACH = {"decide/batch of 1000": 1000, "ingest/csv": 10_000, "ingest/ndjson": 10_000}
BUILD_S = 1200


def bench(name, folder, arguments=(), quick=False, environment=None, timeout_s=280):
    """Runs one of the criterion benches of a package; median and range of its samples, in ns an iteration."""
    command = ["cargo", "bench", "--locked", "--manifest-path", tools.BENCHES / folder / "Cargo.toml", "--target-dir",
               tools.TARGET / "benches", "--bench", name]
    home = tools.WORK / "criterion" / f"{folder}-{name}"
    # Results of other versions must not be mixed in.
    shutil.rmtree(home, ignore_errors=True)
    variables = {**os.environ, "CRITERION_HOME": str(home), **(environment or {})}
    tools.command([*command, "--no-run"], BUILD_S, env=variables)
    tools.command([*command, "--", "--noplot", *arguments, *(["--quick"] if quick else [])], timeout_s, env=variables)
    results = {}
    for file in sorted(home.glob("**/new/sample.json")):
        about = json.loads((file.parent / "benchmark.json").read_text())
        sample = json.loads(file.read_text())
        each = [time / count for time, count in zip(sample["times"], sample["iters"])]
        results[about["full_id"]] = {"ns": each}
    return results


def prepare(_stage):
    """Builds the benches, which takes longer than they do."""
    command = ["cargo", "bench", "--locked", "--manifest-path", tools.BENCHES / "engine/Cargo.toml", "--target-dir",
               tools.TARGET / "benches", "--bench", "engine", "--no-run"]
    tools.command(command, BUILD_S)


def run(stage):
    """All of them, over one store."""
    customers, plays = stage.pick(1_000_000, 5_000), stage.pick(40, 20)
    size = {"BENCH_CUSTOMERS": str(customers), "BENCH_PLAYS": str(plays)}
    results = bench("engine", "engine", quick=stage.quick, environment=size)
    command = [stage.engine_benches / "threads", customers, stage.pick(2_000_000, 20_000), stage.pick(9, 1)]
    threads = json.loads(stage.run(command, 280))
    directory = stage.folder / "campaigns-log"
    directory.mkdir()
    command = [stage.engine_benches / "campaigns", customers, stage.pick(1_000_000, 20_000), stage.pick(5, 1), directory]
    campaigns = json.loads(stage.run(command, 280))
    return {"customers": customers, "plays": plays, "results": results, "threads": threads, "campaigns": campaigns}


def ns(data, name):
    """Nanoseconds of one decision or event, a number a sample."""
    return [time / EACH.get(name, 1) for time in data["results"][name]["ns"]]


def page(data):
    what = {
        "decide/cached": "decision, counts cached in the profile: lookup and policy",
        "decide/window moved": "decision, counts taken again because a play left the window, or came back",
        "decide/batch of 1000": "decision, one of 1,000 in a row",
        "apply/in order": "apply a play, newer than all of the customer's",
        "apply/out of order": "apply a play in the midst of the customer's",
        "apply/repeat": "apply a play that is there",
        "ingest/csv": "a play from CSV to profile",
        "ingest/ndjson": "a play from NDJSON to profile",
    }
    rows = [[label, text.spread(ns(data, name))] for name, label in what.items() if name in data["results"]]
    return [
        f"criterion, one thread, {data['customers']:,} customers of {data['plays']} plays each, random ids; median "
        "(least–most) of the samples.",
        "",
        *text.table(["what", "ns"], rows),
        *by_campaigns(data),
        *on_two_threads(data),
    ]


def by_campaigns(data):
    """The table of decisions by the number of campaigns; data of older runs have none."""
    if "campaigns" not in data:
        return []
    found = data["campaigns"]
    what = {name: label for name, (label, _) in CAMPAIGNS.items()} | OTHERS
    rows = [[label, text.figure(found[name])] for name, label in what.items() if name in found]
    return [
        "",
        "A decision by the number of campaigns, whose models are linear but for the last; each of the eight has two caps, three "
        "cooldowns, a budget and hours. Customers with ad history have heard two ads and clicked one; with a log each decision has its record there. CPU of the thread, the median "
        "of rounds over customers in an order like chance:",
        "",
        *text.table(["campaigns", "ns"], rows),
    ]


def on_two_threads(data):
    """The paragraph on two threads; data of older runs have none."""
    if "threads" not in data:
        return []
    ratios = text.spread(data["threads"]["ratio"])
    return ["", f"Two threads make {ratios} times as many decisions a second as one, median (least–most) of pairs."]


def budgets(data):
    from statistics import median

    rows = []
    for name, (what, bound) in BUDGETS.items():
        measured = median(ns(data, name))
        rows.append((what, f"≤ {bound:,} ns", f"{text.figure(measured)} ns", measured <= bound))
    if "campaigns" in data:
        for name, (label, bound) in CAMPAIGNS.items():
            measured = data["campaigns"][name]
            rows.append((f"decision without HTTP, {label}", f"≤ {bound:,} ns", f"{text.figure(measured)} ns", measured <= bound))
    if "threads" in data:
        ratio = data["threads"]["median"]
        rows.append(("decisions without HTTP, two threads by one", "≥ 1.9 ×", f"{text.figure(ratio)} ×", ratio >= 1.9))
    return rows
