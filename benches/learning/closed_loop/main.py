"""Runs every policy on every seed, and writes the page."""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from closed_loop.servers import Failed
from closed_loop.world import World

ROOT = Path(__file__).resolve().parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
REQUIREMENTS = ROOT / "benches/learning/requirements.txt"
PIP_S, BUILD_S = 900, 1800

# The whole bench, and a short form of it that only shows that it runs.
DECISIONS, DRIFT_AT = 200_000, 70_000
QUICK_DECISIONS, QUICK_DRIFT_AT = 4_000, 2_000

# What the server is told of learning: see docs/decisions/learning-bench.md.
LEARN = """[learn]
every = "8760h"                        # the bench asks for each job, so that none comes at a moment of its own
"""
RETRAIN_HOURS = 12


def arguments():
    parser = argparse.ArgumentParser(description="Simulated listeners with a planted taste ask a real server, which learns, beside other policies.")
    parser.add_argument("--seeds", default="1,2,3", help="worlds, with commas between (default: 1,2,3)")
    parser.add_argument("--decisions", type=int, help=f"decisions of each (default: {DECISIONS:,})")
    parser.add_argument("--drift-at", type=int, help=f"the decision from which on the taste has moved (default: {DRIFT_AT:,})")
    parser.add_argument("--quick", action="store_true", help="a few thousand decisions of one world; writes no page")
    parser.add_argument("--no-build", action="store_true", help="take the programs in target/release as they are")
    parser.add_argument("--page", type=Path, help="write the page and its picture here instead of docs/benchmarks/learning.md")
    parser.add_argument("--keep", type=Path, help="keep what was counted in this folder")
    parser.add_argument("--jobs", type=int, default=2, help="policies that run at once (default: 2)")
    return parser.parse_args()


def main():
    options = arguments()
    try:
        python = with_tools()
        if Path(sys.prefix).resolve() != python.parent.parent.resolve():
            return subprocess.run([str(python), "-B", str(ROOT / "benches/learning/run"), *sys.argv[1:]]).returncode
        if not options.no_build:
            build()
        measure(options)
    except Failed as failure:
        print(f"learning: {failure}", file=sys.stderr)
        return 1
    return 0


def with_tools():
    """The interpreter of an environment that has what is compared with; this one where it has it already."""
    folder = TARGET / "learning-venv"
    python = folder / "bin/python"
    marker = folder / "installed.txt"
    if not marker.is_file() or marker.read_text() != REQUIREMENTS.read_text():
        venv.create(folder, with_pip=True, clear=True)
        command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", REQUIREMENTS]
        run(command, PIP_S)
        marker.write_text(REQUIREMENTS.read_text())
    return python


def build():
    run(["cargo", "build", "--release", "--locked", "--bin", "upbeat"], BUILD_S)
    run(["cargo", "build", "--release", "--locked", "-p", "upbeat-closed-loop", "--bin", "closed-loop"], BUILD_S)


def run(command, timeout_s):
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise Failed(f"still running after {timeout_s} s: {shlex.join(command)}") from None
    if done.returncode != 0:
        raise Failed(f"{shlex.join(command)}\n{(done.stdout + done.stderr)[-4000:]}")


def measure(options):
    from closed_loop import page
    from closed_loop.results import Result

    quick = options.quick
    decisions = options.decisions or (QUICK_DECISIONS if quick else DECISIONS)
    drift_at = options.drift_at or (QUICK_DRIFT_AT if quick else DRIFT_AT)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    results = []
    for seed in seeds[:1] if quick else seeds:
        world = World(decisions, drift_at, seed)
        with tempfile.TemporaryDirectory(prefix="upbeat-learning-", dir=memory()) as folder:
            counted = of_seed(world, Path(folder), options, 0.05 if quick else 1)
        results.append(Result(world, counted))
        results[-1].check()
        if options.keep:
            results[-1].keep(options.keep)
        print(page.table([results[-1]]), flush=True)
    if quick:
        print("learning: every policy has answered every decision")
        return
    print(page.table(results))
    page.write(results, options.page or ROOT / "docs/benchmarks/learning.md", shlex.join(["just", "learning", *(["--seeds", options.seeds] if options.seeds != "1,2,3" else [])]))


def memory():
    """A folder in memory, where there is one: what is acknowledged is synced, and the disk is not what is measured."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def of_seed(world, folder, options, scale):
    """What each policy comes to in one world."""
    from closed_loop.policies import LEARNING, Programs, fit_best, history, play, settings
    from closed_loop.results import allowed_share

    programs = Programs(TARGET / "release/upbeat", TARGET / "release/closed-loop")
    past = history(programs, world, folder)
    with ThreadPoolExecutor(options.jobs) as pool:
        best = pool.submit(fit_best, programs, world, folder, scale)

        def one(name, best=None, random_share=0.0):
            policy, document, config, more = settings(world, best, random_share, RETRAIN_HOURS, LEARN)[name]
            print(f"seed {world.seed}: {name}", file=sys.stderr, flush=True)
            return play(programs, world, folder, past, name, policy, document, config, more)

        begun = {name: pool.submit(one, name) for name in (LEARNING, "show-all", "static shipped SVM", "oracle of each listener")}
        path = best.result()
        begun |= {name: pool.submit(one, name, path) for name in ("best on these features", "logistic bandit")}
        # As many as the learning policy shows, of all that no rule is against.
        share = allowed_share(begun[LEARNING].result(), begun["show-all"].result())
        begun["random"] = pool.submit(one, "random", path, share)
        return {name: done.result() for name, done in begun.items()}
