#!/usr/bin/env python3
"""Every export of models of every kind of problem, scored by its own reader. Prints a table of how far they are apart.

    UPBEAT_BINARY=target/release/upbeat tests/peers/exports.py

`check` compares one model; tests/peers/test_exports.py does so for some of each kind, in every run of the tests.
"""

import collections
import itertools
import json
import re
import subprocess
import sys
import warnings

import numpy
import onnxruntime
import workbench
import zoo
from liblinear import liblinearutil
from libsvm import svmutil

# Scores agree within this share of their size, those of svm-predict and liblinear-predict being 64-bit floats.
SCORES = 1e-6
# Both print probabilities with six digits, and libSVM keeps them 1e-7 away from 0 and 1.
PRINTED = 3e-6
# svm-scale prints six digits of every value.
SCALED = 1e-3
# ONNX takes rows as 32-bit floats; the export refuses a model that this moves further.
ONNX = 1e-4
# Of one that is run on the same 32-bit rows, only the result is rounded.
ONNX_ON_ITS_ROWS = 1e-6
# A label may be the other one where the score is no further from 0 than this share of the usual size.
NEAR_ZERO = 1e-5


class Model:
    """A trained model, its held-out rows, and what `upbeat predict` says of them."""

    def __init__(self, kind, flags: str):
        self.kind, self.flags = kind, flags
        zoo.write(kind, 1, workbench.FOLDER / "rows.txt")
        self.rows = zoo.write(kind, 2, workbench.FOLDER / "held-out.txt")
        call = [workbench.BINARY, "train", "rows.txt", "-o", "zoo.json", "--seed", "1", *flags.split()]
        ran = subprocess.run(call, cwd=workbench.FOLDER, capture_output=True, text=True, timeout=workbench.SECONDS)
        self.refusal = ran.stderr if ran.returncode else None
        if self.refusal is None:
            self.content = workbench.content("zoo.json")
            self.labels, self.scores = workbench.predicted("zoo.json", "held-out.txt")
            usual = max(numpy.median(numpy.abs(self.scores)), numpy.finfo(float).tiny)
            self.size = numpy.maximum(numpy.abs(self.scores), usual)
            self.apart = numpy.abs(self.scores) > NEAR_ZERO * numpy.median(numpy.abs(self.scores))
            self.sigmoid = "a" in (self.content["calibration"] or {})
            self.linear = self.content["kernel"]["type"] == "linear"
            self.takes_scaled_rows = not self.linear and self.content["scaling"] is not None

    def export(self, form: str) -> str | None:
        """Writes the export; returns the sentence where it is refused."""
        call = [workbench.BINARY, "model", "export", "--format", form, "zoo.json", "-o", f"zoo.{form}"]
        ran = subprocess.run(call, cwd=workbench.FOLDER, capture_output=True, text=True, timeout=workbench.SECONDS)
        assert ran.returncode in (0, 1), ran.stderr
        assert ran.returncode == 0 or len(ran.stderr.split()) > 8, f"no sentence: {ran.stderr}"
        self.said = ran.stderr
        return ran.stderr.strip() if ran.returncode else None

    def probabilities(self, scores: numpy.ndarray) -> numpy.ndarray:
        with numpy.errstate(over="ignore"):
            return workbench.probabilities("zoo.json", scores)

    def of_score(self, theirs: numpy.ndarray) -> float:
        return float(numpy.max(numpy.abs(theirs - self.scores) / self.size))

    def same_labels(self, theirs: numpy.ndarray):
        wrong = numpy.sum(theirs[self.apart] != self.labels[self.apart])
        assert wrong == 0, f"{wrong} labels differ"


def within(name: str, apart: float, bound: float) -> float:
    assert apart <= bound, f"{name} differ by {apart:.2e}, and {bound:.0e} is stated"
    return apart


def _printed(name: str, rows: str, flags: list[str], model: str) -> numpy.ndarray:
    workbench.run(name, *flags, rows, model, "out")
    return numpy.loadtxt(workbench.path("out"), skiprows=1 if "-b" in flags else 0, ndmin=1)


def libsvm(model: Model) -> dict[str, float]:
    rows = workbench.scaled("zoo.json", model.rows) if model.takes_scaled_rows else model.rows
    theirs = svmutil.svm_load_model(workbench.path("zoo.libsvm"))
    values = numpy.array(svmutil.svm_predict([], workbench.as_pairs(rows), theirs, "-q")[2])[:, 0]
    found = {"libSVM scores": within("scores", model.of_score(values), SCORES)}
    file, bound, by = "held-out.txt", PRINTED, "libSVM probabilities"
    if model.takes_scaled_rows:
        told = re.search(r"may differ by (\S+)", model.said)
        assert told, f"nothing is said of svm-scale's digits: {model.said}"
        bound, by = max(SCALED, float(told.group(1))), "behind svm-scale"
        written = workbench.run("svm-scale", "-r", "zoo.libsvm.range", "held-out.txt").stdout
        (workbench.FOLDER / "held-out.scaled").write_text(written)
        file = "held-out.scaled"
    else:
        model.same_labels(_printed("svm-predict", file, ["-q"], "zoo.libsvm"))
    if model.sigmoid:
        printed = _printed("svm-predict", file, ["-q", "-b", "1"], "zoo.libsvm")[:, 1]
        apart = numpy.max(numpy.abs(printed - model.probabilities(model.scores)))
        found[by] = within("probabilities", float(apart), bound)
    elif model.content["calibration"]:
        assert "no place for this calibration" in model.said, model.said
    return found


def liblinear(model: Model) -> dict[str, float]:
    theirs = liblinearutil.load_model(workbench.path("zoo.liblinear"))
    values = numpy.array(liblinearutil.predict([], workbench.as_pairs(model.rows), theirs, "-q")[2])[:, 0]
    model.same_labels(_printed("liblinear-predict", "held-out.txt", [], "zoo.liblinear"))
    return {"LIBLINEAR scores": within("scores", model.of_score(values), SCORES)}


def onnx(model: Model) -> dict[str, float]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    path = workbench.path("zoo.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    with numpy.errstate(over="ignore", under="ignore"):
        rows = model.rows.astype(numpy.float32)
    labels, given = session.run(None, {"X": rows})
    assert numpy.isfinite(given).all(), "numbers that are not finite"
    model.same_labels(labels)
    if model.sigmoid:
        apart = float(numpy.max(numpy.abs(given[:, 1] - model.probabilities(model.scores))))
        found = {"ONNX probabilities": within("probabilities", apart, ONNX)}
    else:
        found = {"ONNX scores": within("scores", model.of_score(given[:, 1]), ONNX)}
    # The same rows as 32-bit floats hold them.
    with (workbench.FOLDER / "narrow.txt").open("w") as text:
        for row in numpy.clip(rows.astype(float), -3.4028234663852886e38, 3.4028234663852886e38):
            text.write("0" + "".join(f" {i + 1}:{value!r}" for i, value in enumerate(row.tolist()) if value) + "\n")
    _, scores = workbench.predicted("zoo.json", "narrow.txt")
    expected = model.probabilities(scores) if model.sigmoid else scores
    size = 1 if model.sigmoid else model.size
    within("answers for 32-bit rows", float(numpy.max(numpy.abs(given[:, 1] - expected) / size)), ONNX_ON_ITS_ROWS)
    return found


READERS = {"libsvm": libsvm, "liblinear": liblinear, "onnx": onnx}
COLUMNS = [
    "libSVM scores", "libSVM probabilities", "behind svm-scale", "LIBLINEAR scores", "ONNX scores", "ONNX probabilities",
]


def check(kind, flags: str) -> dict[str, float | str]:
    """The greatest differences of each export from the model, by COLUMNS, or by its format the sentence of its refusal."""
    model = Model(kind, flags)
    if model.refusal is not None:
        assert len(model.refusal.split()) > 5, f"no sentence: {model.refusal}"
        return {"train": model.refusal.strip().splitlines()[-1]}
    found = {}
    for form, reader in READERS.items():
        refusal = model.export(form)
        found |= reader(model) if refusal is None else {form: refusal}
    return found


KERNELS = [
    "", "--loss squared-hinge", "--loss logistic", "-c 1000", "-c 0.0001", "--kernel rbf", "--kernel rbf --gamma 20 -c 100",
    "--kernel poly --degree 2 --coef0 1", "--kernel sigmoid --gamma 0.05 --coef0 -0.5", "--class-weight 1=5",
]
SCALES = ["", "--scale none"]
CALIBRATIONS = ["", "--calibration isotonic", "--calibration none"]


def main() -> int:
    warnings.simplefilter("ignore")
    worst, refused, failures, models = collections.defaultdict(float), collections.Counter(), [], 0
    for kind, kernel, scale, calibration in itertools.product(zoo.KINDS, KERNELS, SCALES, CALIBRATIONS):
        flags = f"{kernel} {scale} {calibration}".strip()
        try:
            models += 1
            for form, apart in check(kind, flags).items():
                if isinstance(apart, str):
                    refused[kind.__name__, form, re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "…", apart)[:160]] += 1
                else:
                    worst[kind.__name__, form] = max(worst[kind.__name__, form], apart)
        except AssertionError as error:
            failures.append(f"{kind.__name__} {flags}: {error}")
            print(failures[-1], file=sys.stderr)
    print(f"| problem | {' | '.join(COLUMNS)} |\n|---|{'--:|' * len(COLUMNS)}")
    for kind in zoo.KINDS:
        cells = [f"{worst[kind.__name__, column]:.0e}" if (kind.__name__, column) in worst else "–" for column in COLUMNS]
        print(f"| {kind.__name__.replace('_', ' ')} | {' | '.join(cells)} |")
    greatest = [max(apart for (_, column), apart in worst.items() if column == wanted) for wanted in COLUMNS]
    print(f"| **all** | {' | '.join(f'{apart:.0e}' for apart in greatest)} |")
    for (kind, form, sentence), count in sorted(refused.items()):
        print(f"refused {count} × {kind}, {form}: {sentence}", file=sys.stderr)
    print(json.dumps({"models": models, "failures": len(failures), "refused": sum(refused.values())}), file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
