"""docs/benchmarks.md, from what every part has left as JSON."""

import json
import subprocess

from suite import text, tools
from suite.parts import ALL

INTRODUCTION = (
    "What Upbeat costs, compared with others that do the same in the same run, and with its budgets. Written by "
    "`./scripts/bench` (`just bench`); [how to read it](guides/load.md). Figures are medians (least–most)."
)


def results(folder):
    """The newest result of each part that has one."""
    found = {}
    for part in ALL:
        file = folder / f"{part.NAME}.json"
        if file.exists():
            found[part.NAME] = json.loads(file.read_text())
    return found


def render(folder, page_file, python):
    """Writes the page and its pictures from the results in `folder`."""
    found = results(folder)
    pictures = page_file.parent / "benchmarks"
    draw(found, pictures, python)
    chapters = [chapter(part, found[part.NAME]) for part in ALL if part.NAME in found]
    lines = ["# Benchmarks", "", INTRODUCTION, "", *budget_table(found), ""]
    page_file.parent.mkdir(parents=True, exist_ok=True)
    page_file.write_text("\n".join(lines + [line for of_chapter in chapters for line in of_chapter]))


def budget_table(found):
    """All budgets of all parts that were measured."""
    rows = []
    for part in ALL:
        data = found.get(part.NAME, {}).get("data")
        for what, budget, measured, good in part.budgets(data) if data else []:
            rows.append([what, budget, measured, text.verdict(good)])
    return text.table(["what", "budget", "measured", ""], rows) if rows else []


def chapter(part, result):
    """One part: where it was measured and what."""
    about = (f"`{result['command']}` on {result['date']}, commit {result['commit']}, {result['machine']}; "
             f"took {result['seconds']:.0f} s.")
    lines = [f"## {part.TITLE}", "", about, ""]
    if "failed" in result:
        return [*lines, f"**Failed**: {result['failed']}", ""]
    drawn = part.plots(result["data"]) if hasattr(part, "plots") else []
    body = part.page(result["data"])
    # A part that does not place its pictures has them at its end.
    shown = [f"\n![{plot['title']}](benchmarks/{plot['file']}.svg)" for plot in drawn
             if not any(f"({'benchmarks/' + plot['file']}.svg)" in line for line in body)]
    return [*lines, *body, *shown, ""]


def draw(found, folder, python):
    """All pictures, by the Python that has matplotlib."""
    plots = []
    for part in ALL:
        data = found.get(part.NAME, {}).get("data")
        if data and hasattr(part, "plots"):
            plots += part.plots(data)
    command = [python, tools.BENCHES / "suite/plots.py", folder]
    subprocess.run(command, input=json.dumps(plots), text=True, timeout=120, check=True)
