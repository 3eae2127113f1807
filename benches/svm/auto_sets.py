"""The data sets of `benches/svm/auto-sets`, and scikit-learn's choice on each split of them.

auto_sets.py write FOLDER SPLITS      a folder a set: train0.txt test0.txt train1.txt …, 70 % and 30 % of each class
auto_sets.py peer FOLDER SPLITS [SET…]
                                      GridSearchCV on every split that has no result yet: peer0.json …
auto_sets.py compare FOLDER SPLITS    the table, of peerN.json and oursN.json

GridSearchCV compares what `upbeat train --auto` compares for the hinge loss: lines and RBF machines, features
standardised (within each fold) and as they are, C over ten powers of 4 and gamma over six powers of 4 times
1 / (features × mean variance), in 5 stratified folds, by accuracy, and trains the best on all 70 %. Its solver is
bounded at a hundred iterations a row; ours is bounded at thirty.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

# Rules are tuned on the first, and the others looked at once a rule is fixed.
TUNED = ["cancer", "moons", "classification", "listeners-14", "digits-3-8", "checkers", "text"]
REPORTED = [
    "wine", "iris", "digits-4-9", "informative", "circles", "spirals", "blobs", "friedman", "listeners", "listeners-5",
    "words", "heavy-tails",
]


def listeners(rng, count, clicks, gap):
    """Shares of plays, as the service's features are; who clicks is on the phone more often, by `gap`."""
    clicked = rng.random(count) < clicks
    plays = rng.integers(10, 256, count)
    share = lambda probability: rng.binomial(plays, np.clip(probability, 0, 1)) / plays
    hours = [share(probability) for probability in (0.29, 0.21, 0.21)]
    phone = share(rng.normal(0.57, 0.12, count) + gap * clicked)
    unique = np.clip(rng.normal(0.92, 0.03, count), 0, 1)
    return np.stack([*hours, 1 - sum(hours), phone, unique], axis=1), clicked


def text(rng, count, words, length, topic):
    """Counts of words by Zipf's law; positive texts draw a share of their words from a topic of their own."""
    chance = 1 / np.arange(1, words + 1)
    chance /= chance.sum()
    theirs = rng.permutation(chance)
    positive = rng.random(count) < 0.4
    mixed = [(1 - topic) * chance + topic * theirs if label else chance for label in positive]
    return np.array([rng.multinomial(rng.integers(length // 2, 2 * length), each) for each in mixed], float), positive


def spirals(rng, count):
    angle = np.sqrt(rng.random(count)) * 3 * np.pi
    positive = rng.random(count) < 0.5
    turn = np.where(positive, 0, np.pi)
    points = np.stack([angle * np.cos(angle + turn), angle * np.sin(angle + turn)], axis=1)
    return points + rng.normal(0, 0.8, (count, 2)), positive


def checkers(rng, count):
    points = rng.random((count, 2)) * 4
    positive = (points.astype(int).sum(1) % 2).astype(bool)
    return points * [1, 10], positive ^ (rng.random(count) < 0.05)


def heavy_tails(rng, count):
    values = np.exp(rng.normal(0, 1.5, (count, 6)))
    logit = np.log(values[:, 0]) - np.log(values[:, 1]) + 0.5 * np.log(values[:, 2])
    return values, rng.random(count) < 1 / (1 + np.exp(-2 * logit))


def sets():
    """Rows and labels by name; at most 1,000 rows each."""
    from sklearn import datasets as d

    def of_two(data, one, other):
        kept = (data.target == one) | (data.target == other)
        return data.data[kept], data.target[kept] == one

    rng = lambda seed: np.random.default_rng(seed)
    friedman, value = d.make_friedman1(400, n_features=10, noise=2.0, random_state=12)
    wine, digits, iris, cancer = d.load_wine(), d.load_digits(), d.load_iris(), d.load_breast_cancer()
    return {
        "cancer": (cancer.data, cancer.target),
        "moons": d.make_moons(400, noise=0.3, random_state=1),
        "classification": d.make_classification(500, 20, n_informative=6, flip_y=0.1, random_state=2),
        "listeners-14": listeners(rng(3), 600, 0.14, 0.12),
        "digits-3-8": of_two(digits, 3, 8),
        "checkers": checkers(rng(4), 500),
        "text": text(rng(5), 300, 200, 30, 0.25),
        "wine": of_two(wine, 1, 2),
        "iris": of_two(iris, 1, 2),
        "digits-4-9": of_two(digits, 4, 9),
        "informative": d.make_classification(400, 10, n_informative=4, n_clusters_per_class=3, flip_y=0.05, random_state=6),
        "circles": d.make_circles(300, noise=0.2, factor=0.5, random_state=7),
        "spirals": spirals(rng(8), 400),
        "blobs": (lambda x, y: (x * [1, 10, 0.1, 1, 100, 1], y == 0))(
            *d.make_blobs(500, 6, centers=4, cluster_std=6.0, random_state=9)
        ),
        "friedman": (friedman, value > np.median(value)),
        "listeners": listeners(rng(10), 500, 0.15, 0.25),
        "listeners-5": listeners(rng(11), 600, 0.05, 0.2),
        "words": text(rng(13), 300, 300, 40, 0.2),
        "heavy-tails": heavy_tails(rng(14), 400),
    }


def write(folder, splits):
    from sklearn.model_selection import StratifiedShuffleSplit

    for name, (values, labels) in sets().items():
        place = Path(folder) / name
        place.mkdir(parents=True, exist_ok=True)
        labels = np.asarray(labels).astype(int)
        halves = StratifiedShuffleSplit(int(splits), test_size=0.3, random_state=1).split(values, labels)
        for split, (train, test) in enumerate(halves):
            for kind, rows in (("train", train), ("test", test)):
                lines = [
                    f"{labels[row]} " + " ".join(f"{i}:{value!r}" for i, value in enumerate(values[row].tolist(), 1))
                    for row in rows
                ]
                (place / f"{kind}{split}.txt").write_text("\n".join(lines) + "\n")


def read(path):
    labels, values = [], []
    for line in Path(path).read_text().splitlines():
        label, *pairs = line.split()
        labels.append(int(label))
        values.append([float(pair.split(":")[1]) for pair in pairs])
    return np.array(values), np.array(labels)


def search(train, test, seed):
    import warnings

    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    warnings.simplefilter("ignore")  # a cell that does not converge is as good as it is
    (values, labels), (fresh, truth) = read(train), read(test)
    variance = values.var(0).mean()
    cs, gammas = 4.0 ** np.arange(-3, 7), 4.0 ** np.arange(-3, 3) / values.shape[1]
    unit = 4.0 ** np.round(np.log2(1 / variance) / 2)
    grid = [
        {"scale": ["passthrough"], "svc__kernel": ["linear"], "svc__C": cs * unit},
        {"scale": [StandardScaler()], "svc__kernel": ["linear"], "svc__C": cs},
        {"scale": ["passthrough"], "svc__kernel": ["rbf"], "svc__C": cs, "svc__gamma": gammas / variance},
        {"scale": [StandardScaler()], "svc__kernel": ["rbf"], "svc__C": cs, "svc__gamma": gammas},
    ]
    begun = time.process_time()
    machine = Pipeline([("scale", "passthrough"), ("svc", SVC(max_iter=100 * len(labels)))])
    found = GridSearchCV(machine, grid, cv=StratifiedKFold(5, shuffle=True, random_state=seed), n_jobs=1)
    found.fit(values, labels)
    seconds = time.process_time() - begun
    wrong = found.predict(fresh) != truth
    auc = roc_auc_score(truth, found.decision_function(fresh))
    chosen = {name: str(value) for name, value in found.best_params_.items()}
    return {"error": wrong.mean(), "auc": auc, "seconds": seconds, "chosen": chosen}


def peer(folder, splits, *names):
    for split in range(int(splits)):
        for name in names or TUNED + REPORTED:
            place = Path(folder) / name
            result = place / f"peer{split}.json"
            if not result.exists():
                found = search(place / f"train{split}.txt", place / f"test{split}.txt", split)
                result.write_text(json.dumps(found))
                print(name, split, f"{found['error']:.4f} {found['seconds']:.1f} s", flush=True)


def compare(folder, splits):
    """A line a set that has results of both, tuned ones apart; the mean rank over all splits of the reported sets."""
    from scipy.stats import wilcoxon

    print("| set | splits | `--auto` | GridSearchCV | better, equal, worse | p | its CPU time, ours |")
    print("|---|--:|--:|--:|---|--:|--:|")
    ranks = []
    for name in TUNED + REPORTED:
        place = Path(folder) / name
        both = [
            [json.loads((place / f"{who}{split}.json").read_text()) for who in ("ours", "peer")]
            for split in range(int(splits))
            if all((place / f"{who}{split}.json").exists() for who in ("ours", "peer"))
        ]
        if not both:
            continue
        errors = np.array([[one["error"] for one in pair] for pair in both])
        gap = errors[:, 0] - errors[:, 1]
        seconds = np.array([[one["seconds"] for one in pair] for pair in both]).sum(0)
        p = wilcoxon(gap).pvalue if np.any(gap) else 1.0
        counts = f"{(gap < 0).sum()}, {(gap == 0).sum()}, {(gap > 0).sum()}"
        mark = " (to tune on)" if name in TUNED else ""
        ours, peers = 100 * errors.mean(0)
        print(f"| {name}{mark} | {len(both)} | {ours:.2f} % | {peers:.2f} % | {counts} | {p:.2f} | {seconds[1] / seconds[0]:.0f} × |")
        if name in REPORTED:
            ranks.extend(1.5 + 0.5 * np.sign(gap))
    if ranks:
        print(f"\nMean rank of `--auto` over the splits of the reported sets: {np.mean(ranks):.3f} (1 is best, 1.5 is even)")


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {"write": write, "peer": peer, "compare": compare}[name](*arguments)
