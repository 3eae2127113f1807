"""Generated problems of many kinds, each a pair of labels and rows; the same for the same seed."""

import pathlib

import numpy

ROWS = 160


def _classes(random: numpy.random.Generator, rows: int, share: float = 0.4) -> numpy.ndarray:
    positive = random.random(rows) < share
    # Three of each at least, for every fold of a calibration.
    positive[:3], positive[3:6] = True, False
    return positive


def separable(random):
    positive = _classes(random, ROWS)
    return positive, random.normal(0, 0.3, (ROWS, 4)) + numpy.where(positive[:, None], 2.0, -2.0)


def overlapping(random):
    positive = _classes(random, ROWS)
    return positive, random.normal(0, 1, (ROWS, 5)) + numpy.where(positive[:, None], 0.6, -0.6)


def noise(random):
    return _classes(random, ROWS), random.random((ROWS, 6))


def rare(random):
    positive = _classes(random, 3 * ROWS, 0.01)
    return positive, random.normal(0, 1, (3 * ROWS, 3)) + numpy.where(positive[:, None], 1.5, 0.0)


def weak(random):
    """As in advertising: shares of plays, one in seven clicks, and little to tell by."""
    rows = random.dirichlet([3, 2, 2, 3], 2 * ROWS)
    rows = numpy.column_stack([rows, random.beta(6, 4, 2 * ROWS), random.beta(30, 3, 2 * ROWS)])
    positive = random.random(2 * ROWS) < 1 / (1 + numpy.exp(5 - 5 * rows[:, 4]))
    positive[:3], positive[3:6] = True, False
    return positive, rows.round(2)


def collinear(random):
    positive, rows = overlapping(random)
    return positive, numpy.column_stack([rows, 2 * rows[:, 0], rows[:, 0] + rows[:, 1]])


def constant(random):
    positive, rows = overlapping(random)
    return positive, numpy.column_stack([rows[:, :2], numpy.full(ROWS, 7.25), numpy.zeros(ROWS)])


def duplicated(random):
    rows = numpy.repeat(random.random((ROWS // 10, 4)).round(1), 10, axis=0)
    return _classes(random, len(rows)), rows


def heavy_tails(random):
    positive = _classes(random, ROWS)
    return positive, random.standard_cauchy((ROWS, 3)) + numpy.where(positive[:, None], 3.0, -3.0)


def great_values(random):
    positive, rows = overlapping(random)
    return positive, rows * 1e150


def small_values(random):
    positive, rows = overlapping(random)
    return positive, rows * 1e-150


def far_from_zero(random):
    positive, rows = overlapping(random)
    return positive, rows + 1e9


def mixed_scales(random):
    positive, rows = overlapping(random)
    return positive, rows * [1e-6, 1e-3, 1.0, 1e3, 1e6]


def wide_and_sparse(random):
    positive = _classes(random, ROWS)
    rows = numpy.zeros((ROWS, 2000))
    for row, is_positive in zip(rows, positive, strict=True):
        row[random.choice(2000, 12, replace=False)] = 1.0
        row[random.choice(40, 4, replace=False) + (0 if is_positive else 20)] = 1.0
    return positive, rows


def few_rows(random):
    positive = numpy.array([True, True, True, False, False, False])
    return positive, random.normal(0, 1, (6, 2)) + numpy.where(positive[:, None], 1.0, -1.0)


KINDS = [
    separable, overlapping, noise, rare, weak, collinear, constant, duplicated, heavy_tails, great_values, small_values,
    far_from_zero, mixed_scales, wide_and_sparse, few_rows,
]


def write(kind, seed: int, file: pathlib.Path) -> numpy.ndarray:
    """Writes a problem as libSVM text, and returns its rows."""
    positive, rows = kind(numpy.random.default_rng([seed, *kind.__name__.encode()]))
    with file.open("w") as text:
        for label, row in zip(positive, rows, strict=True):
            pairs = "".join(f" {index + 1}:{float(value)!r}" for index, value in enumerate(row) if value != 0)
            # Every file tells of as many features as there are.
            last = "" if row[-1] != 0 else f" {len(row)}:0"
            text.write(f"{int(label)}{pairs}{last}\n")
    return rows
