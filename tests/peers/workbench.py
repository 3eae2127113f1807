"""Shared code of the peer tests: the binary, seeded rows, our models in each shape, and rows in the peers' forms."""

import functools
import json
import os
import pathlib
import subprocess
import tempfile

import numpy

BINARY = str(pathlib.Path(os.environ.get("UPBEAT_BINARY", "target/release/upbeat")).resolve())
SECONDS = 60  # Most that one call may take.
TRAINING_ROWS = 600
CUSTOMERS = 3000

# The flags of each kernel, by its name in this suite: for standardised rows, and for raw shares.
KERNELS = {
    "linear": {"standard": "", "none": ""},
    "rbf": {"standard": "--gamma 0.2", "none": "--gamma 20"},
    "poly": {"standard": "--gamma 0.2 --coef0 1 --degree 2", "none": "--gamma 2 --coef0 1 --degree 3"},
    "sigmoid": {"standard": "--gamma 0.05 --coef0 -0.5", "none": "--gamma 0.5 --coef0 -1"},
}
SHAPES = [(kernel, scale) for kernel in KERNELS for scale in ("standard", "none")]

_folder = tempfile.TemporaryDirectory(prefix="upbeat-peers-")
FOLDER = pathlib.Path(_folder.name)


def path(name: str) -> str:
    return str(FOLDER / name)


def run(program: str, *arguments: str) -> subprocess.CompletedProcess:
    """Runs a program in the folder; a failure shows its stderr."""
    ran = subprocess.run([program, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=SECONDS)
    if ran.returncode != 0:
        raise AssertionError(f"{program} {' '.join(arguments)}: status {ran.returncode}\n{ran.stderr}")
    return ran


def upbeat(call: str) -> subprocess.CompletedProcess:
    return run(BINARY, *call.split())


def refused(call: str) -> str:
    """The stderr of a call that must end with status 1."""
    ran = subprocess.run([BINARY, *call.split()], cwd=FOLDER, capture_output=True, text=True, timeout=SECONDS)
    assert ran.returncode == 1, f"{call}: status {ran.returncode}\n{ran.stderr}"
    return ran.stderr


@functools.cache
def rows() -> tuple[numpy.ndarray, numpy.ndarray]:
    """Labels and features of the held-out rows; `train.txt` and `held.txt` are in the folder from then on."""
    upbeat(f"simulate --customers {CUSTOMERS} --plays {30 * CUSTOMERS} --seed 11 -o simulated")
    upbeat("features --precise --tracks simulated/tracks.csv --clicks simulated/clicks.csv -o all.txt")
    lines = (FOLDER / "all.txt").read_text().splitlines(keepends=True)
    (FOLDER / "train.txt").write_text("".join(lines[:TRAINING_ROWS]))
    (FOLDER / "held.txt").write_text("".join(lines[TRAINING_ROWS:]))
    return read_rows("held.txt")


def read_rows(name: str) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Labels and six features of a file of rows."""
    labels, features = [], []
    for line in (FOLDER / name).read_text().splitlines():
        label, *pairs = line.split()
        row = [0.0] * 6
        for pair in pairs:
            index, value = pair.split(":")
            row[int(index) - 1] = float(value)
        labels.append(float(label))
        features.append(row)
    return numpy.array(labels), numpy.array(features)


@functools.cache
def model(kernel: str, scale: str) -> str:
    """The name of our model of a shape, trained on `train.txt`."""
    rows()
    name = f"{kernel}-{scale}.json"
    upbeat(f"train train.txt -o {name} --seed 1 --loss hinge --kernel {kernel} --scale {scale} {KERNELS[kernel][scale]}")
    return name


@functools.cache
def uncalibrated(name: str) -> str:
    """The name of the same model without its calibration."""
    parts = content(name)
    parts["calibration"] = None
    (FOLDER / f"uncalibrated-{name}").write_text(json.dumps(parts))
    return f"uncalibrated-{name}"


def content(name: str) -> dict:
    return json.loads((FOLDER / name).read_text())


def predicted(name: str, of: str = "held.txt") -> tuple[numpy.ndarray, numpy.ndarray]:
    """The labels and decision values that our model gives to rows."""
    lines = upbeat(f"predict {of} --model {name}").stdout.splitlines()
    labels, scores = zip(*(line.split() for line in lines), strict=True)
    return numpy.array(labels, float), numpy.array(scores, float)


def write_rows_with_1_first() -> None:
    """The training rows in `train-1-first.txt`, so that the other label is met first."""
    lines = (FOLDER / "train.txt").read_text().splitlines(keepends=True)
    lines.sort(key=lambda line: line.startswith("0"))
    (FOLDER / "train-1-first.txt").write_text("".join(lines))


def assert_predicts_as(name: str, theirs: tuple[numpy.ndarray, numpy.ndarray]) -> None:
    """Our model gives the labels and decision values that theirs gave."""
    labels, scores = predicted(name)
    numpy.testing.assert_allclose(scores, theirs[1], rtol=1e-6, atol=1e-6)
    numpy.testing.assert_array_equal(labels, theirs[0])


def probabilities(name: str, scores: numpy.ndarray) -> numpy.ndarray:
    """Our probability of the positive label, by the formula of docs/model-file.md."""
    calibration = content(name)["calibration"]
    return 1 / (1 + numpy.exp(calibration["a"] * scores + calibration["b"]))


def scaled(name: str, features: numpy.ndarray) -> numpy.ndarray:
    """Rows as the model's machine takes them, to the last digit."""
    scaling = content(name)["scaling"]
    if scaling is None:
        return features
    return (features - numpy.array(scaling["mean"])) / numpy.array(scaling["scale"])


def as_pairs(features: numpy.ndarray) -> list[dict[int, float]]:
    """Rows as libSVM's and LIBLINEAR's Python modules take them."""
    return [{index + 1: float(value) for index, value in enumerate(row)} for row in features]


def magnitudes(name: str, features: numpy.ndarray) -> numpy.ndarray:
    """For each row, the sum of its score's terms without their signs: the scale of its rounding errors."""
    parts = content(name)
    rows = scaled(name, features)
    kernel = parts["kernel"]
    if kernel["type"] == "linear":
        return numpy.abs(rows) @ numpy.abs(parts["weights"]) + abs(parts["bias"])
    vectors = numpy.array(parts["support_vectors"])
    gamma, coef0 = kernel["gamma"], kernel.get("coef0", 0.0)
    if kernel["type"] == "rbf":
        squares = ((rows[:, None, :] - vectors[None, :, :]) ** 2).sum(axis=2)
        values = numpy.exp(-gamma * squares)
    elif kernel["type"] == "poly":
        values = (gamma * rows @ vectors.T + coef0) ** kernel["degree"]
    else:
        values = numpy.tanh(gamma * rows @ vectors.T + coef0)
    return numpy.abs(values) @ numpy.abs(parts["coefficients"]) + abs(parts["bias"])


def clear(scores: numpy.ndarray, tolerance: float | numpy.ndarray) -> numpy.ndarray:
    """A mask of the scores so far from 0 that an error of the tolerance cannot change the label."""
    return numpy.abs(scores) > tolerance
