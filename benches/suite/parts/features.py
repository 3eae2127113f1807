"""Files: features compared with polars and DuckDB, simulate, predict; whole processes from the command to its end."""

import shutil
from statistics import median

from suite import text, tools
from suite.failure import Failure
from suite.tools import say

NAME = "features"
TITLE = "Files: features, simulate, predict"
LIMITS_S = 180, 120
PYTHON = True

CUSTOMERS = 25_000
# Lines that may differ between two programs, since a share may lie between two roundings.
ROUNDED_OTHERWISE = 0.02


def run(stage):
    """All programs in turn in each round."""
    plays, rounds = stage.pick(1_000_000, 50_000), stage.pick(5, 1)
    customers = CUSTOMERS if not stage.quick else CUSTOMERS // 20
    folder = stage.folder
    simulated = folder / "simulated"
    tracks, clicks = simulated / "tracks.csv", simulated / "clicks.csv"
    python, peers = tools.TARGET / "bench-venv/bin/python", tools.BENCHES / "suite/peers.py"
    simulate = [stage.upbeat, "simulate", "--customers", customers, "--plays", plays, "--seed", 7, "--no-impressions",
                "-o", simulated]
    stage.run(simulate, 60)
    rows = folder / "rows.txt"
    files = ["--tracks", tracks, "--clicks", clicks]
    stage.run([stage.upbeat, "features", *files, "--precise", "-o", folder / "few.txt"], 60)
    many(folder / "few.txt", rows, plays)
    commands = {
        "upbeat features": [stage.upbeat, "features", *files, "-o", folder / "upbeat.txt"],
        "polars": [python, peers, "polars", tracks, clicks, folder / "polars.txt"],
        "duckdb": [python, peers, "duckdb", tracks, clicks, folder / "duckdb.txt"],
        "upbeat simulate": [stage.upbeat, "simulate", *simulate[2:-1], folder / "again"],
        "upbeat predict": [stage.upbeat, "predict", rows, "--model", tools.ROOT / "model/default.json",
                           "-o", folder / "predicted.txt"],
    }
    results = {name: [] for name in commands}
    for turn in range(rounds):
        for name, command in commands.items():
            shutil.rmtree(folder / "again", ignore_errors=True)
            results[name].append(stage.measure(command, 60))
            say(f"files {turn + 1}/{rounds}, {name}: {results[name][-1]['wall_s']:.3f} s")
    differing = {name: compare(folder, name) for name in ("polars", "duckdb")}
    with open(clicks, "rb") as file:
        count = sum(1 for _ in file)
    return {"customers": customers, "plays": plays, "clicks": count, "results": results, "differing": differing}


def many(few, rows, count):
    """A file of so many rows, the same few over and over."""
    lines = few.read_text()
    copies, more = divmod(count, lines.count("\n"))
    with open(rows, "w", encoding="ascii") as file:
        for _ in range(copies):
            file.write(lines)
        file.writelines(line + "\n" for line in lines.splitlines()[:more])


def compare(folder, name):
    """Share of lines that a peer writes otherwise; more than roundings explain fails the part."""
    ours, theirs = (folder / f"{of}.txt" for of in ("upbeat", name))
    ours, theirs = ours.read_text().splitlines(), theirs.read_text().splitlines()
    differing = sum(one != other for one, other in zip(ours, theirs)) / max(len(ours), 1)
    if len(ours) != len(theirs) or differing > ROUNDED_OTHERWISE:
        first = next(((one, other) for one, other in zip(ours, theirs) if one != other), None)
        raise Failure(f"{name} writes {len(theirs)} lines, upbeat {len(ours)}; {differing:.1%} differ, first {first}")
    return differing


def page(data):
    results = data["results"]
    ours = median(result["wall_s"] for result in results["upbeat features"])
    what = {
        "upbeat features": "features of the plays and clicks",
        "polars": "the same by polars, lazily", "duckdb": "the same by DuckDB, in SQL",
        "upbeat simulate": "simulate as many plays, and all other files but impressions",
        "upbeat predict": f"predict {data['plays']:,} rows, linear",
    }
    rows = []
    for name, label in what.items():
        field = lambda of: [result[of] for result in results[name]]
        by = median(field("wall_s")) / ours
        peak = text.spread(text.times(field("peak_bytes"), 2**-20))
        rows.append([label, text.spread(field("wall_s")), f"{by:.2f}" if "features" in label or "same" in label else "–",
                     text.spread(field("cpu_s")), peak])
    differing = ", ".join(f"{share:.2%} by {name}" for name, share in data["differing"].items())
    return [
        f"{data['plays']:,} plays and {data['clicks']:,} clicks of {data['customers']:,} customers, from "
        f"`upbeat simulate --seed 7`; rounds: {len(results['polars'])}, all in turn; whole processes on all cores, files "
        "in the page cache. Python's start and imports count with the peers. Lines that are rounded otherwise: "
        f"{differing}.",
        "",
        *text.table(["what", "wall, s", "by ours", "CPU, s", "peak resident, MiB"], rows),
    ]


def budgets(data):
    wall = median(result["wall_s"] for result in data["results"]["upbeat features"])
    peak = max(result["peak_bytes"] for result in data["results"]["upbeat features"]) / 2**20
    what = f"features of {data['plays']:,} plays and {data['clicks']:,} clicks, whole process"
    return [
        (what, "≤ 0.12 s", f"{wall:.3f} s", wall <= 0.12),
        ("the same, peak resident", "≤ 200 MiB", f"{peak:.0f} MiB", peak <= 200),
    ]
