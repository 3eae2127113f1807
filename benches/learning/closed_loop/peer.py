"""A policy that `closed-loop` asks line by line: `peer.py best FILE BREAK_EVEN DRIFT_AT` or `peer.py bandit BREAK_EVEN EPSILON`.

`{"ask": [[features, coin, number], …]}` is answered with `[[play, propensity], …]`; `{"learn": [[features, propensity, clicked], …]}`
is not answered.
"""

import json
import sys


class Best:
    """Shows where the probability of a click, given the features alone, is above the break-even: as the world's own truth was fitted."""

    def __init__(self, path, break_even, drift_at):
        import joblib

        self.before, self.after = joblib.load(path)
        self.break_even, self.drift_at = float(break_even), int(drift_at)

    def ask(self, offered):
        features, drifted = [row[0] for row in offered], offered[-1][2] >= self.drift_at
        chances = (self.after if drifted else self.before).predict(features)
        return [(bool(chance > self.break_even), float(chance > self.break_even)) for chance in chances]

    def learn(self, played):
        pass


class Bandit:
    """A logistic regression of clicks, by Vowpal Wabbit, learnt from each click at once; shows where it says that a show pays, and with
    a probability of epsilon where it does not."""

    # Of a handful, those that earned most in a world of another seed.
    FLAGS = "--quiet --loss_function logistic --link logistic -q ff --cubic fff --learning_rate 0.1 --power_t 0.5"

    def __init__(self, break_even, epsilon):
        from vowpalwabbit import Workspace

        self.machine = Workspace(self.FLAGS)
        self.break_even, self.epsilon = float(break_even), float(epsilon)

    @staticmethod
    def written(features):
        return "|f " + " ".join(f"{name}:{value:.6f}" for name, value in zip("abcdef", features))

    def ask(self, offered):
        chances = [self.machine.predict(self.written(features)) for features, _, _ in offered]
        propensities = [1.0 if chance > self.break_even else self.epsilon for chance in chances]
        return [(coin < propensity, propensity) for (_, coin, _), propensity in zip(offered, propensities)]

    def learn(self, played):
        for features, propensity, clicked in played:
            self.machine.learn(f"{1 if clicked else -1} {1 / propensity:.4f} {self.written(features)}")


class LogisticBandit(Bandit):
    """The same by scikit-learn's stochastic gradient descent, where Vowpal Wabbit cannot be installed."""

    def __init__(self, break_even, epsilon):
        from sklearn.linear_model import SGDClassifier

        self.machine = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.02, alpha=1e-6, random_state=1)
        self.is_fitted = False
        self.break_even, self.epsilon = float(break_even), float(epsilon)

    @staticmethod
    def terms(features):
        centred = [4 * feature - 2 for feature in features]
        return centred + [a * b for at, a in enumerate(centred) for b in centred[at:]]

    def ask(self, offered):
        if self.is_fitted:
            chances = self.machine.predict_proba([self.terms(features) for features, _, _ in offered])[:, 1]
        else:
            chances = [1.0] * len(offered)
        propensities = [1.0 if chance > self.break_even else self.epsilon for chance in chances]
        return [(bool(coin < propensity), propensity) for (_, coin, _), propensity in zip(offered, propensities)]

    def learn(self, played):
        rows = [self.terms(features) for features, _, _ in played]
        weights = [1 / propensity for _, propensity, _ in played]
        self.machine.partial_fit(rows, [clicked for *_, clicked in played], classes=[False, True], sample_weight=weights)
        self.is_fitted = True


def bandit(*arguments):
    try:
        return Bandit(*arguments)
    except ImportError:
        return LogisticBandit(*arguments)


def main(kind, *arguments):
    policy = {"best": Best, "bandit": bandit, "sgd": LogisticBandit}[kind](*arguments)
    for line in sys.stdin:
        said = json.loads(line)
        if "ask" in said:
            print(json.dumps(policy.ask(said["ask"]) if said["ask"] else []), flush=True)
        else:
            policy.learn(said["learn"])


if __name__ == "__main__":
    main(*sys.argv[1:])
