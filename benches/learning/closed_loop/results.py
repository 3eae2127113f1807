"""What was counted, and what is read from it."""

import json

from closed_loop.policies import LEARNING, ORDER
from closed_loop.servers import Failed

BUCKET = 1_000
# Profit after the drift is that of so many decisions: of fewer it is mostly whom the minute brought.
RATE_DECISIONS = 5_000
MOST_PACED = 0.01
BEST, ENOUGH, SOON = "best on these features", 0.9, 20_000


def total(buckets, key):
    return sum(bucket[key] for bucket in buckets)


def allowed_share(learning, show_all):
    """The share of all that no rule is against that the learning policy shows."""
    return total(learning["buckets"], "shown") / max(1, total(show_all["buckets"], "shown"))


class Result:
    """All policies in one world."""

    def __init__(self, world, counted):
        self.world = world
        self.buckets = {name: counted[name]["buckets"] for name in ORDER}
        self.jobs = counted[LEARNING]["jobs"]

    def keep(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        kept = {"world": vars(self.world), "buckets": self.buckets, "jobs": self.jobs}
        (folder / f"seed-{self.world.seed}.json").write_text(json.dumps(kept))

    def check(self):
        for name, buckets in self.buckets.items():
            decisions = total(buckets, "decisions")
            if decisions != self.world.decisions:
                raise Failed(f"{name}: {decisions} decisions of {self.world.decisions}")
            paced = total(buckets, "paced")
            if paced > MOST_PACED * decisions:
                raise Failed(f"{name}: {paced} of {decisions} shows waited for a lease of the budget: time passed too fast for this machine")
        for name in (LEARNING, BEST, "show-all"):
            if total(self.buckets[name], "shown") == 0:
                raise Failed(f"{name}: nothing was shown")
        if not self.jobs:
            raise Failed("the server was never asked to learn")

    def profit(self, name, first, last, key="expected_micro"):
        """In units of the currency for a thousand decisions, from one decision to another."""
        buckets = self.buckets[name][first // BUCKET:-(-last // BUCKET)]
        return total(buckets, key) / 1e6 / max(1, total(buckets, "decisions")) * 1_000

    def second_half(self, name, key="expected_micro"):
        return self.profit(name, self.world.decisions // 2, self.world.decisions, key)

    def share(self, name, key="expected_micro"):
        """Of the best policy's profit, in the second half."""
        return self.second_half(name, key) / self.second_half(BEST, key)

    def rate(self, name, first, decisions=RATE_DECISIONS):
        return self.profit(name, first, first + decisions) / self.profit(BEST, first, first + decisions)

    def recovered(self, name=LEARNING):
        """Decisions after the drift from which on the next few thousand earn enough of what the best policy earns; None where none do."""
        last = self.world.decisions - RATE_DECISIONS
        for first in range(self.world.drift_at, last + 1, BUCKET):
            if self.rate(name, first) >= ENOUGH:
                return first - self.world.drift_at
        return None

    def promotions(self):
        """Decisions at which another model serves than before."""
        found, serving = [], None
        for job in self.jobs:
            champion = next((model["id"] for model in job["models"] if model["role"] == "champion"), None)
            if serving and champion != serving:
                found.append(job["decisions"])
            serving = champion
        return found
