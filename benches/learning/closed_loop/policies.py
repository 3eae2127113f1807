"""Each policy's run: a server of its own, with the same history, rules and holdout."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

from closed_loop.servers import Failed, copied, server
from closed_loop.world import CAMPAIGN, SHOWS_ALL, World

PEER = Path(__file__).resolve().parent / "peer.py"

CONFIG = """[shutdown]
drain = "0s"
[log]
level = "warn"
"""

# Decisions of other listeners of the same world, before and after the drift, to which the best policy is fitted.
SAMPLE_DECISIONS, SAMPLE_CUSTOMERS = 300_000, 20_000

LEARNING = "Upbeat"
ORDER = [LEARNING, "best on these features", "oracle of each listener", "static shipped SVM", "logistic bandit", "random", "show-all"]


class Programs:
    """What is run."""

    def __init__(self, upbeat, closed_loop):
        self.upbeat, self.closed_loop = Path(upbeat).resolve(), Path(closed_loop).resolve()

    def run(self, arguments, timeout_s=3600):
        command = [str(part) for part in [self.closed_loop, *arguments]]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s)
        if done.returncode != 0:
            raise Failed(f"{shlex.join(command)}\n{done.stderr.decode()[-4000:]}")
        return done.stdout


def history(programs, world: World, folder):
    """A directory in which a server knows all plays before the first decision."""
    data_dir = folder / "history"
    with server(programs.upbeat, folder / "loading", data_dir, world.campaigns(SHOWS_ALL), CONFIG) as (data, _):
        programs.run(["load", *world.arguments(), "--data", data])
    return data_dir


def fit_best(programs, world: World, folder, scale):
    """P(click | features), before and after the drift, fitted to the planted probabilities of other listeners."""
    import joblib
    import numpy
    from sklearn.ensemble import HistGradientBoostingRegressor

    fitted = []
    for seed, taste in ((1_000_003, world.before), (1_000_033, world.after)):
        sampled = World(**{**vars(world), "customers": SAMPLE_CUSTOMERS})
        decisions = max(20_000, int(SAMPLE_DECISIONS * scale))
        text = programs.run(["sample", *sampled.arguments(seed, decisions, taste, drifts=False)])
        rows = numpy.array([[float(part) for part in line.split(b",")] for line in text.split()])
        machine = HistGradientBoostingRegressor(max_iter=300, learning_rate=0.1, random_state=1)
        fitted.append(machine.fit(rows[:, :6], rows[:, 6]))
    path = folder / "best.joblib"
    joblib.dump(fitted, path)
    return path


def play(programs, world: World, folder, past, name, policy, document, config="", more=()):
    """One policy through all decisions; gives what `closed-loop` counted."""
    folder = folder / name.replace(" ", "-")
    folder.mkdir()
    counted = folder / "counted.json"
    data_dir = copied(past, folder / "data")
    with server(programs.upbeat, folder, data_dir, document, CONFIG + config) as (data, admin):
        arguments = ["--data", data, "--admin", admin, "--campaign", CAMPAIGN, "--policy", policy]
        money = ["--cost", world.cost_micro, "--value", world.value_micro]
        programs.run(["run", *world.arguments(), *arguments, *money, *more, "--output", counted])
    return json.loads(counted.read_text())


def peer(*arguments):
    # Its requests are small: threads of its own would cost more than they save.
    return "peer:" + shlex.join(["env", "OMP_NUM_THREADS=1", sys.executable, str(PEER), *(str(part) for part in arguments)])


def settings(world: World, best, random_share, retrain_hours, learn):
    """For each policy: whom the program asks, the document, the configuration, and more arguments."""
    all_shown = world.campaigns(SHOWS_ALL)
    epsilon = world.exploration / 2
    learning = world.campaigns('"profit"', world.exploration, "auto")
    return {
        LEARNING: ("served", learning, learn, ["--retrain-hours", retrain_hours]),
        "static shipped SVM": ("served", world.campaigns('"profit"'), "", []),
        "show-all": ("served", all_shown, "", []),
        "oracle of each listener": ("oracle", all_shown, "", []),
        "best on these features": (peer("best", best, world.break_even, world.drift_at), all_shown, "", []),
        "logistic bandit": (peer("bandit", world.break_even, epsilon), all_shown, "", []),
        "random": (f"random:{random_share}", all_shown, "", []),
    }
