"""Draws line plots as SVG, with matplotlib: plots.py FOLDER < JSON.

Each plot: file, title, x, y (labels), series (name, x, y, and low, high where there is a range), marks (x, text), and
log_x, log_y, zero_y.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
# The same input gives the same bytes; text stays text.
matplotlib.rcParams.update({
    "svg.hashsalt": "upbeat", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "axes.grid": True,
    "grid.color": "#dddddd", "axes.spines.top": False, "axes.spines.right": False,
})
# Distinguishable without colour too (Okabe and Ito, 2008).
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#777777"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]


def draw(plot, folder):
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure, axes = pyplot.subplots(figsize=(7, 3.8), layout="constrained")
    for at, series in enumerate(plot["series"]):
        colour, many = COLOURS[at % len(COLOURS)], len(series["x"]) > 20
        marker = None if many else MARKERS[at % len(MARKERS)]
        axes.plot(series["x"], series["y"], color=colour, label=series["name"], marker=marker, markersize=4.5,
                  linewidth=1 if many else 1.6)
        if "low" in series:
            axes.fill_between(series["x"], series["low"], series["high"], color=colour, alpha=0.15, linewidth=0)
    if plot.get("log_x"):
        axes.set_xscale("log")
    if plot.get("log_y"):
        axes.set_yscale("log")
    if plot.get("zero_y"):
        axes.set_ylim(bottom=0)
    for axis, log in ((axes.xaxis, plot.get("log_x")), (axes.yaxis, plot.get("log_y"))):
        if log:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
            axis.set_minor_formatter(NullFormatter())
    for x, text in plot.get("marks", []):
        axes.axvline(x, color="#888888", linewidth=0.8, linestyle=":")
        axes.text(x, 0.98, f" {text}", rotation=90, va="top", ha="left", fontsize=7, color="#555555",
                  transform=axes.get_xaxis_transform())
    axes.set(title=plot["title"], xlabel=plot["x"], ylabel=plot["y"])
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(folder / f"{plot['file']}.svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for each in json.load(sys.stdin):
        draw(each, target)
