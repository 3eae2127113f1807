"""The table, the picture, and the page in the docs."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from closed_loop.policies import LEARNING, ORDER
from closed_loop.results import BEST, BUCKET, ENOUGH, RATE_DECISIONS, SOON

PLOTS = Path(__file__).resolve().parents[2] / "suite/plots.py"
# A point of the curve.
POINT_DECISIONS = 5_000


def spread(values, form):
    """Least, median and greatest."""
    ordered = sorted(values)
    return " / ".join(form(value) for value in (ordered[0], statistics.median(ordered), ordered[-1]))


def table(results):
    money = lambda value: f"{value:.2f}"
    percent = lambda value: f"{100 * value:.1f} %"
    lines = [
        "| policy | shown | profit by truth, second half | realised | of the best | after the drift |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name in ORDER:
        shown = [sum(bucket["shown"] for bucket in result.buckets[name]) / result.world.decisions for result in results]
        soon = [result.rate(name, min(result.world.drift_at + SOON, result.world.decisions - RATE_DECISIONS)) for result in results]
        cells = [
            name, spread(shown, percent), spread([result.second_half(name) for result in results], money),
            spread([result.second_half(name, "earned_micro") for result in results], money),
            spread([result.share(name) for result in results], percent), spread(soon, percent),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def learnt(results):
    """A line for each seed."""
    lines = ["| seed | promotions, after so many decisions | back to 90 % of the best, decisions after the drift |", "|--:|---|--:|"]
    for result in results:
        recovered = result.recovered()
        promotions = ", ".join(f"{decision:,}" for decision in result.promotions()) or "none"
        lines.append(f"| {result.world.seed} | {promotions} | {'never' if recovered is None else f'{recovered:,}'} |")
    return "\n".join(lines)


def plot(results, file):
    """Profit over decisions: the median of the seeds, and from least to greatest."""
    world = results[0].world
    firsts = range(0, world.decisions - POINT_DECISIONS + 1, POINT_DECISIONS)
    series = []
    for name in ORDER:
        of = [[result.profit(name, first, first + POINT_DECISIONS) for result in results] for first in firsts]
        series.append({
            "name": name, "x": [(first + POINT_DECISIONS) / 1_000 for first in firsts],
            "y": [statistics.median(values) for values in of],
            "low": [min(values) for values in of], "high": [max(values) for values in of],
        })
    marks = [(world.drift_at / 1_000, "the taste moves"), (world.decisions / 2_000, "second half")]
    return {
        "file": file, "title": "Profit by the planted truth", "x": "thousand decisions", "y": "USD per thousand decisions",
        "series": series, "marks": marks,
    }


def write(results, path, command):
    plots = [plot(results, path.stem)]
    drawn = subprocess.run([sys.executable, str(PLOTS), str(path.parent)], input=json.dumps(plots), text=True, capture_output=True)
    if drawn.returncode != 0:
        raise RuntimeError(drawn.stderr)
    world = results[0].world
    seeds = ", ".join(str(result.world.seed) for result in results)
    text = f"""# What learning is worth

Written by `{command}`. Simulated listeners with a planted taste ask a real server over HTTP; the bench and its policies are
explained in [decisions/learning-bench](../decisions/learning-bench.md). Seeds {seeds}; where there are three figures they are the least, the median
and the greatest. {world.decisions:,} decisions of {world.customers:,} listeners; from decision {world.drift_at:,} on the taste has moved. An
impression costs {world.cost_micro / 1e6:.3f} and a click is worth {world.value_micro / 1e6:.3f}, so that a show pays above
{100 * world.break_even:.0f} %.

![Profit over decisions]({path.stem}.svg)

Profit in USD for a thousand decisions. *By truth* is what the planted probabilities say of the ads that were played, *realised* what was
clicked. *After the drift* is the share of the best policy's profit in the {RATE_DECISIONS:,} decisions that follow {SOON:,} after the drift.

{table(results)}

{learnt(results)}

*Back* is the first decision after the drift, in steps of {BUCKET:,}, from which on {RATE_DECISIONS:,} decisions earn at least {100 * ENOUGH:.0f} % of
what "{BEST}" earns on the same ones. "{LEARNING}" starts with the shipped model.
"""
    path.write_text(text)
