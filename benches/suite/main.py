"""The command line: which parts, how long, and what became of each."""

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from suite import page, tools
from suite.failure import Failure
from suite.parts import ALL
from suite.processes import Processes
from suite.stage import Stage
from suite.tools import say

DESCRIPTION = """Measures everything, or the parts named, and writes docs/benchmarks.md with its pictures.

Installs what is missing: wrk, redis-server, gcc, strace and valgrind by apt; polars, DuckDB and matplotlib by pip into
target/bench-venv. Starts its servers and generators on loopback and ends only those. Each part leaves its figures in
target/bench/results; the page is made of all that are there, so parts can be run one by one. A part that fails says why,
the others go on, and the status is 1 at the end; 2 for wrong usage. How to read it: docs/guides/load.md."""


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = [part.NAME for part in ALL]
    add("parts", nargs="*", metavar="PART", help=f"{', '.join(names)} [all]")
    add("--quick", action="store_true", help="every part briefly, with small sizes, into target/bench/quick; for tests")
    add("--page", action="store_true", help="measure nothing; write the page from what is there")
    add("--against", type=Path, metavar="FILE", help="another upbeat binary, measured in turn with this one (http)")
    add("--oha", action="store_true", help="oha as a second opinion on the tail; building it takes minutes")
    add("--10m", action="store_true", dest="ten_million",
        help="10 M customers as well: 30 GB of disk and half an hour (recovery, restart)")
    args = parser.parse_args()
    unknown = [name for name in args.parts if name not in names]
    if unknown:
        parser.error(f"no part {unknown[0]}; there are {', '.join(names)}")
    if args.against and not os.access(args.against, os.X_OK):
        parser.error(f"--against {args.against}: not a program")
    args.chosen = [part for part in ALL if not args.parts or part.NAME in args.parts]
    return args


def interrupted(number, _frame):
    if number == signal.SIGALRM:
        raise Failure("took too long")
    raise SystemExit(128 + number)


def prepare(chosen):
    """Installs and builds what the chosen parts share; the Python for peers and pictures."""
    tools.install_packages()
    tools.build_upbeat()
    tools.build_c_programs()
    if any(getattr(part, "ENGINE", False) for part in chosen):
        tools.build_engine_benches()
    return tools.python_with_peers()


def measure(part, args, about):
    """Runs one part within its time, and what is to be kept of it."""
    limit_s = part.LIMITS_S[args.quick]
    if args.ten_million:
        limit_s = getattr(part, "LIMIT_10M_S", limit_s)
    result = dict(about)
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix=f"{part.NAME}-", dir=tools.WORK) as folder, Processes() as processes:
            against = args.against and args.against.resolve()
            stage = Stage(args.quick, Path(folder), processes, against, args.oha, args.ten_million)
            if hasattr(part, "prepare"):
                part.prepare(stage)
            start = time.monotonic()
            signal.alarm(limit_s)
            result["data"] = part.run(stage)
            signal.alarm(0)
    except Exception as error:  # whatever it is, the other parts go on
        signal.alarm(0)
        kind = "" if isinstance(error, Failure) else f"{type(error).__name__}: "
        result["failed"] = f"{kind}{error}"
    result["seconds"] = time.monotonic() - start
    return result


def main():
    args = arguments()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, interrupted)
    for name in [name for name in os.environ if name.startswith("UPBEAT_")]:
        say(f"{name} is set, and is a setting of the servers here too")
    quick = args.quick
    folder = tools.WORK / ("quick" if quick else "results")
    page_file = folder / "benchmarks.md" if quick else tools.ROOT / "docs/benchmarks.md"
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "command": shlex.join(["scripts/bench", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "machine": tools.about_machine(),
        "commit": tools.about_commit(),
    }
    failed = []
    try:
        python = tools.python_with_peers() if args.page else prepare(args.chosen)
        for part in [] if args.page else args.chosen:
            say(f"\n=== {part.NAME}: {part.TITLE}")
            result = measure(part, args, about)
            (folder / f"{part.NAME}.json").write_text(json.dumps(result, indent=1) + "\n")
            say(f"{part.NAME} took {result['seconds']:.0f} s")
            if "failed" in result:
                say(f"{part.NAME} failed: {result['failed']}")
                failed.append(part.NAME)
        page.render(folder, page_file, python)
    except Failure as failure:
        say(f"scripts/bench: {failure}")
        return 1
    say(f"\nwritten to {page_file}")
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0
