"""Against LIBLINEAR: its programs for labels and probabilities, its Python module for decision values."""

import unittest

import numpy
import workbench
from liblinear import liblinearutil

SOLVERS = {
    0: "L2R_LR",
    1: "L2R_L2LOSS_SVC_DUAL",
    2: "L2R_L2LOSS_SVC",
    3: "L2R_L1LOSS_SVC_DUAL",
    5: "L1R_L2LOSS_SVC",
    6: "L1R_LR",
    7: "L2R_LR_DUAL",
}


def decision_values(name: str, features: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Labels and decision values of LIBLINEAR's; a value is that of the model's first label."""
    model = liblinearutil.load_model(workbench.path(name))
    labels, _, values = liblinearutil.predict([], workbench.as_pairs(features), model, "-q")
    sign = 1 if model.get_labels()[0] == max(model.get_labels()) else -1
    return numpy.array(labels), sign * numpy.array(values)[:, 0]


class Export(unittest.TestCase):
    def test_decision_values_agree_to_a_millionth(self):
        _, features = workbench.rows()
        for scale in ("standard", "none"):
            with self.subTest(scale):
                name = workbench.model("linear", scale)
                stderr = workbench.upbeat(f"model export --format liblinear {name} -o ours.model").stderr
                self.assertIn("no place for this calibration", stderr)
                ours = workbench.predicted(name)
                theirs = decision_values("ours.model", features)
                numpy.testing.assert_allclose(theirs[1], ours[1], rtol=1e-6, atol=1e-6)
                numpy.testing.assert_array_equal(theirs[0], ours[0])
                workbench.run("liblinear-predict", "held.txt", "ours.model", "out")
                numpy.testing.assert_array_equal(numpy.loadtxt(workbench.path("out")), ours[0])

    def test_kernel_models_are_refused(self):
        stderr = workbench.refused(f"model export --format liblinear {workbench.model('rbf', 'none')} -o ours.model")
        self.assertIn("LIBLINEAR has linear models only, and this one's kernel is rbf", stderr)


class Import(unittest.TestCase):
    def check(self, their_file: str, logistic: bool):
        _, features = workbench.rows()
        # The format is read from the file, whatever the flag is.
        for flag in ("--format liblinear ", "--format libsvm ", ""):
            stderr = workbench.upbeat(f"model import {flag}{their_file} -o imported.json").stderr
            self.assertIn("from LIBLINEAR", stderr)
            self.assertEqual("no calibration" in stderr, not logistic)
        theirs = decision_values(their_file, features)
        workbench.assert_predicts_as("imported.json", theirs)

    def test_every_classifier_gives_its_values_with_and_without_bias(self):
        workbench.rows()
        workbench.write_rows_with_1_first()
        for number, solver in SOLVERS.items():
            for rows, bias in (("train.txt", "1"), ("train-1-first.txt", "-1"), ("train-1-first.txt", "2.5")):
                with self.subTest(solver=solver, rows=rows, bias=bias):
                    call = ["-q", "-s", str(number), "-B", bias, rows, "theirs.model"]
                    workbench.run("liblinear-train", *call)
                    self.assertIn(f"solver_type {solver}\n", (workbench.FOLDER / "theirs.model").read_text())
                    self.check("theirs.model", solver.endswith(("LR", "LR_DUAL")))

    def test_models_of_the_newer_library_give_their_values(self):
        workbench.rows()
        labels, features = workbench.read_rows("train.txt")
        for number, solver in SOLVERS.items():
            with self.subTest(solver):
                # Some solvers can leave the bias out of the regularisation; the file looks the same.
                flags = f"-q -s {number} -B 1" + (" -R" if number in (0, 2, 5, 6) else "")
                model = liblinearutil.train(labels, workbench.as_pairs(features), flags)
                liblinearutil.save_model(workbench.path("newer.model"), model)
                self.check("newer.model", solver.endswith(("LR", "LR_DUAL")))

    def test_probabilities_of_logistic_regression_survive_import_and_export(self):
        workbench.rows()
        for number in (0, 6, 7):
            with self.subTest(SOLVERS[number]):
                workbench.run("liblinear-train", "-q", "-s", str(number), "-B", "1", "train.txt", "theirs.model")
                workbench.upbeat("model import theirs.model -o imported.json")
                workbench.upbeat("model export --format liblinear imported.json -o back.model")
                scores = workbench.predicted("imported.json")[1]
                ours = workbench.probabilities("imported.json", scores)
                for name in ("theirs.model", "back.model"):
                    workbench.run("liblinear-predict", "-b", "1", "held.txt", name, "out")
                    with open(workbench.path("out")) as out:
                        column = out.readline().split().index("1")
                        theirs = numpy.loadtxt(out)[:, column]
                    numpy.testing.assert_allclose(ours, theirs, atol=2e-6)

    def test_models_other_than_two_class_classifiers_are_refused(self):
        workbench.rows()
        labels, features = workbench.read_rows("train.txt")
        pairs = workbench.as_pairs(features)
        for flags, message in (
            ("-s 4", "a model of MCSVM_CS is a score for each class"),
            ("-s 11", "a model of L2R_L2LOSS_SVR is regression"),
            ("-s 12", "a model of L2R_L2LOSS_SVR_DUAL is regression"),
            ("-s 13", "a model of L2R_L1LOSS_SVR_DUAL is regression"),
            ("-s 21", "a model of ONECLASS_SVM is one class"),
        ):
            with self.subTest(flags):
                model = liblinearutil.train(labels, pairs, f"-q {flags}")
                liblinearutil.save_model(workbench.path("other.model"), model)
                self.assertIn(message, workbench.refused("model import other.model -o imported.json"))


if __name__ == "__main__":
    unittest.main()
