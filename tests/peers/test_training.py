"""Our solvers against libSVM's svm-train and LIBLINEAR's train: the same objective on the same rows."""

import json
import re
import unittest

import workbench

# libSVM keeps kernel values in single precision.
LIBSVM_TOLERANCE = 1e-3
LIBLINEAR_TOLERANCE = 1e-4

LIBSVM = [
    ("", "-t 0"),
    ("-c 50", "-t 0 -c 50"),
    ("--solver smo", "-t 0"),
    ("--kernel rbf --gamma 5", "-t 2 -g 5"),
    ("--kernel rbf --gamma 20 -c 100", "-t 2 -g 20 -c 100"),
    ("--kernel poly --gamma 2 --coef0 1 --degree 3", "-t 1 -g 2 -r 1 -d 3"),
    ("--kernel sigmoid --gamma 0.5 --coef0 -1", "-t 3 -g 0.5 -r -1"),
    ("--class-weight 1=4 --class-weight 0=0.5", "-t 0 -w1 4 -w0 0.5"),
    ("--kernel rbf --gamma 5 --class-weight 1=4", "-t 2 -g 5 -w1 4"),
]

LIBLINEAR = [
    ("--loss hinge", "-s 3"),
    ("--loss squared-hinge", "-s 1"),
    ("--loss logistic", "-s 7"),
    ("--loss logistic -c 20", "-s 7 -c 20"),
    ("--loss squared-hinge --class-weight 1=3", "-s 1 -w1 3"),
]


def objective(flags: str) -> float:
    call = f"train train.txt -o objective.json --json --scale none --calibration none {flags}"
    return json.loads(workbench.upbeat(call).stdout)["objective"]


def number_after(words: str, text: str) -> float:
    return float(re.search(re.escape(words) + r"\s*(-?[0-9.eE+-]+)", text).group(1))


class Objectives(unittest.TestCase):
    def setUp(self):
        workbench.rows()

    def near(self, ours: float, theirs: float, tolerance: float):
        self.assertLessEqual(abs(ours - theirs), tolerance * abs(theirs), f"{ours} and {theirs}")

    def test_libsvm_finds_the_same_dual_objective(self):
        for ours, theirs in LIBSVM:
            with self.subTest(ours):
                printed = workbench.run("svm-train", *theirs.split(), "train.txt", "objective.model").stdout
                self.near(objective(ours), number_after("obj =", printed), LIBSVM_TOLERANCE)

    def test_liblinear_finds_the_same_dual_objective(self):
        for ours, theirs in LIBLINEAR:
            with self.subTest(ours):
                call = f"-B 1 -e 0.0001 {theirs} train.txt objective.model"
                printed = workbench.run("liblinear-train", *call.split()).stdout
                flags = f"--bias regularised -e 0.0001 --max-iterations 100000 {ours}"
                self.near(objective(flags), number_after("Objective value =", printed), LIBLINEAR_TOLERANCE)

    def test_row_weights_equal_repeated_rows(self):
        lines = (workbench.FOLDER / "train.txt").read_text().splitlines(keepends=True)
        (workbench.FOLDER / "twice.txt").write_text("".join(lines + lines[::2]))
        (workbench.FOLDER / "weights.txt").write_text("2\n1\n" * (len(lines) // 2))
        for kernel in ("linear", "rbf"):
            with self.subTest(kernel):
                flags = f"-o objective.json --json --scale none --calibration none --kernel {kernel}"
                call = f"train train.txt --row-weights weights.txt {flags}"
                weighed = json.loads(workbench.upbeat(call).stdout)["objective"]
                twice = json.loads(workbench.upbeat(f"train twice.txt {flags}").stdout)["objective"]
                self.near(weighed, twice, 1e-4)


if __name__ == "__main__":
    unittest.main()
