"""The parts of `benches/svm/run` that need numpy or scikit-learn, each a command of its own.

rows.py standardise RAW COUNT TRAIN TEST      first COUNT rows train, the others test; both by the training rows' scale
rows.py draw COUNT TRAIN TEST                 rows from binomial shares, standardised; a twentieth as many to test
rows.py fit TRAIN TEST KIND C GAMMA EPSILON   scikit-learn; prints one JSON object
rows.py split ROWS SEED TRAIN TEST            70 % train, 30 % test, stratified; the rows as they are
rows.py grid ROWS SPLITS                      libSVM's 7 x 7 grid on those splits: mean held-out error of the cells that
                                              cross-validation chooses, of the best cell in hindsight, its C, its gamma
rows.py objective MODEL                       dual objective of a libSVM kernel model, from its support vectors
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

SEED = 1


def read(path):
    return parse(Path(path).read_text().splitlines())


def parse(lines):
    """First number (a label, or a coefficient) and six values of each line."""
    firsts, values = [], []
    for line in lines:
        first, *pairs = line.split()
        firsts.append(float(first))
        row = np.zeros(6)
        for pair in pairs:
            index, value = pair.split(":")
            row[int(index) - 1] = float(value)
        values.append(row)
    return np.array(firsts), np.array(values)


def write(path, labels, values):
    with open(path, "w", encoding="ascii") as file:
        for label, row in zip(labels.astype(int).tolist(), values.tolist()):
            file.write(f"{label} " + " ".join(f"{i}:{value:.9g}" for i, value in enumerate(row, 1)) + "\n")


def write_standardised(labels, values, count, train, test):
    mean, scale = values[:count].mean(0), values[:count].std(0)
    values = (values - mean) / np.where(scale > 0, scale, 1)
    write(train, labels[:count], values[:count])
    write(test, labels[count:], values[count:])


def standardise(raw, count, train, test):
    labels, values = read(raw)
    write_standardised(labels, values, int(count), train, test)


def draw(count, train, test):
    rng = np.random.default_rng(SEED)
    count = int(count)
    total = count + count // 20
    clicked = rng.random(total) < 0.15
    plays = rng.integers(10, 256, total)
    share = lambda probability: rng.binomial(plays, np.clip(probability, 0, 1)) / plays
    hours = [share(probability) for probability in (0.29, 0.21, 0.21)]
    phone = share(np.where(clicked, rng.normal(0.78, 0.06, total), rng.normal(0.57, 0.06, total)))
    unique = np.clip(rng.normal(0.92, 0.03, total), 0, 1)
    values = np.stack([*hours, 1 - sum(hours), phone, unique], axis=1)
    write_standardised(clicked.astype(float), values, count, train, test)


def fit(train, test, kind, c, gamma, epsilon):
    from sklearn.svm import SVC, LinearSVC

    (labels, values), (test_labels, test_values) = read(train), read(test)
    c, gamma, epsilon = float(c), float(gamma), float(epsilon)
    model = {
        "svc-linear": SVC(kernel="linear", C=c, tol=epsilon),
        "svc-rbf": SVC(kernel="rbf", C=c, gamma=gamma, tol=epsilon),
        "linear-hinge": LinearSVC(loss="hinge", C=c, tol=epsilon, random_state=SEED),
        "linear-squared-hinge": LinearSVC(loss="squared_hinge", dual=True, C=c, tol=epsilon, random_state=SEED),
    }[kind]
    start = time.perf_counter()
    model.fit(values, labels)
    seconds = time.perf_counter() - start
    kernel = kind.startswith("svc")
    reported = {
        "seconds": seconds,
        "error": float((model.predict(test_values) != test_labels).mean()),
        "support_vectors": int(model.n_support_.sum()) if kernel else None,
        "objective": dual(model.support_vectors_, model.dual_coef_[0], kind == "svc-rbf", gamma) if kernel else None,
    }
    print(json.dumps(reported))


def dual(vectors, coefficients, rbf, gamma):
    """½ Σ a_i a_j K(i, j) - Σ |a_i|, in blocks so that memory stays small."""
    norms = (vectors**2).sum(1)
    total = 0.0
    for start in range(0, len(vectors), 1000):
        block = slice(start, start + 1000)
        kernel = vectors[block] @ vectors.T
        if rbf:
            kernel = np.exp(-gamma * np.maximum(norms[block, None] + norms - 2 * kernel, 0))
        total += coefficients[block] @ kernel @ coefficients
    return float(total / 2 - np.abs(coefficients).sum())


def halves(labels, seed):
    from sklearn.model_selection import StratifiedShuffleSplit

    return next(StratifiedShuffleSplit(1, test_size=0.3, random_state=int(seed)).split(labels, labels))


def split(rows, seed, train, test):
    lines = Path(rows).read_text().splitlines()
    parts = halves(np.array([float(line.split()[0]) for line in lines]), seed)
    for path, part in zip((train, test), parts):
        Path(path).write_text("".join(lines[row] + "\n" for row in part))


def cell(values, labels, split, c, gamma):
    """Error on the held-out rows, and of a 5-fold cross-validation of the others."""
    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import SVC

    train, test = halves(labels, split)

    def error(fitted, measured):
        model = SVC(C=c, gamma=gamma, cache_size=500, max_iter=2_000_000).fit(values[fitted], labels[fitted])
        return (model.predict(values[measured]) != labels[measured]).mean()

    folds = StratifiedKFold(5, shuffle=True, random_state=SEED).split(train, labels[train])
    return error(train, test), np.mean([error(train[fitted], train[measured]) for fitted, measured in folds])


def grid(rows, splits):
    import warnings
    from concurrent.futures import ProcessPoolExecutor

    warnings.simplefilter("ignore")  # a cell that does not converge is as good as it is
    labels, values = read(rows)
    cells = [(10.0**c, 10.0**gamma) for c in range(-2, 5) for gamma in range(-3, 4)]
    with ProcessPoolExecutor(2) as pool:
        waiting = [[pool.submit(cell, values, labels, split, *at) for at in cells] for split in range(int(splits))]
        reported = np.array([[done.result() for done in of_split] for of_split in waiting])
    held, validated = reported[:, :, 0], reported[:, :, 1]
    chosen = held[np.arange(len(held)), validated.argmin(1)]
    best = held.mean(0).argmin()
    print(chosen.mean(), held.mean(0)[best], *cells[best])


def objective(model):
    header, _, body = Path(model).read_text().partition("\nSV\n")
    facts = dict(line.split(" ", 1) for line in header.splitlines())
    if facts["kernel_type"] != "rbf":
        return  # a linear model is one vector: its weights
    coefficients, vectors = parse(body.splitlines())
    print(dual(vectors, coefficients, True, float(facts["gamma"])))


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {"standardise": standardise, "draw": draw, "fit": fit, "split": split, "grid": grid, "objective": objective}[name](*arguments)
