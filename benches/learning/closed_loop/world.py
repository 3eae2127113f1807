"""The world that all policies meet, and the rules that all of them keep."""

from dataclasses import dataclass

CAMPAIGN = "gold-one-day"
MICRO = 1_000_000


@dataclass(frozen=True)
class World:
    """Who listens, what is clicked, what it costs: the arguments of `closed-loop`, and a document of campaigns."""

    decisions: int
    drift_at: int
    seed: int
    customers: int = 5_000
    plays_a_decision: int = 2
    # Probabilities of a click: of anybody, and what is added for phone and for evening listeners.
    before: tuple = (0.3, 0.5, 0.0)
    after: tuple = (0.3, 0.5, 0.5)
    cost_micro: int = 41_000
    value_micro: int = 100_000
    exploration: float = 0.10
    holdout: float = 0.05

    @property
    def break_even(self):
        return self.cost_micro / self.value_micro

    def arguments(self, seed=None, decisions=None, before=None, drifts=True):
        """Those of `closed-loop` that make it; others where a sample is taken of it."""
        listed = lambda taste: ",".join(str(part) for part in taste)
        arguments = {
            "--customers": self.customers, "--seed": seed or self.seed, "--decisions": decisions or self.decisions,
            "--plays-a-decision": self.plays_a_decision, "--before": listed(before or self.before),
        }
        if drifts:
            arguments |= {"--after": listed(self.after), "--drift-at": self.drift_at}
        return [str(part) for pair in arguments.items() for part in pair]

    def campaigns(self, threshold, exploration=0.0, mode="frozen", holdout=None):
        """The document. Rules and money are the same for all; who may be shown the ad beyond them is not."""
        return f"""
currency = "USD"

[[campaign]]
id = "{CAMPAIGN}"
ad = "ADV_REDUCED_1DAY"
audience = ["free", "silver"]
min_plays = 10
caps = [{{ impressions = 4, hours = 24 }}]
impression_cost = {self.cost_micro / MICRO}
click_value = {self.value_micro / MICRO}
daily_budget = {self.customers * self.cost_micro / MICRO}
threshold = {threshold}
model = "{CAMPAIGN}"
mode = "{mode}"
holdout = {self.holdout if holdout is None else holdout}
exploration = {exploration}
"""


# Above every score that there is: all that no rule is against is shown, and voided where a policy is against it.
SHOWS_ALL = "{ score = -1000000000.0 }"
