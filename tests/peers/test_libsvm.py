"""Against libSVM: its programs for labels, its Python module for decision values."""

import unittest

import numpy
import workbench
from libsvm import svmutil

# svm-train's flags for a model of each kernel on raw shares, and then both orders of the labels.
THEIRS = {
    "linear": "-t 0",
    "poly": "-t 1 -d 2 -g 1 -r 1",
    "poly of another degree, C and weight": "-t 1 -d 4 -g 2 -r -0.5 -c 3 -w1 2",
    "rbf": "-t 2 -g 20",
    "sigmoid": "-t 3 -g 0.1 -r -0.5",
    "rbf with probabilities": "-t 2 -g 20 -b 1",
    "linear with probabilities": "-t 0 -b 1",
}


def decision_values(model, features: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Labels and decision values of libSVM's; a value is that of the model's first label."""
    labels, _, values = svmutil.svm_predict([], workbench.as_pairs(features), model, "-q")
    sign = 1 if model.get_labels()[0] == max(model.get_labels()) else -1
    return numpy.array(labels), sign * numpy.array(values)[:, 0]


class Export(unittest.TestCase):
    def test_decision_values_agree_to_a_millionth_for_every_kernel_and_scale(self):
        _, features = workbench.rows()
        for shape in workbench.SHAPES:
            with self.subTest(shape):
                name = workbench.model(*shape)
                workbench.upbeat(f"model export --format libsvm {name} -o {name}.libsvm")
                ours = workbench.predicted(name)
                # A linear export has its scaling folded in; the rows of the others are scaled here.
                rows = features if shape[0] == "linear" else workbench.scaled(name, features)
                theirs = decision_values(svmutil.svm_load_model(workbench.path(f"{name}.libsvm")), rows)
                numpy.testing.assert_allclose(theirs[1], ours[1], rtol=1e-6, atol=1e-6)
                numpy.testing.assert_array_equal(theirs[0], ours[0])

    def test_svm_predict_gives_our_labels_and_probabilities(self):
        for shape in workbench.SHAPES:
            with self.subTest(shape):
                name = workbench.model(*shape)
                stderr = workbench.upbeat(f"model export --format libsvm {name} -o {name}.libsvm").stderr
                by_program = shape[0] != "linear" and shape[1] == "standard"
                self.assertEqual("svm-scale -r" in stderr, by_program)
                rows = "held.txt"
                if by_program:
                    rows = f"{name}.scaled"
                    written = workbench.run("svm-scale", "-r", f"{name}.libsvm.range", "held.txt").stdout
                    (workbench.FOLDER / rows).write_text(written)
                labels, scores = workbench.predicted(name)
                # svm-scale prints six digits.
                apart = workbench.clear(scores, 1e-3 if by_program else 1e-6)
                workbench.run("svm-predict", "-q", rows, f"{name}.libsvm", "out")
                theirs = numpy.loadtxt(workbench.path("out"))
                numpy.testing.assert_array_equal(theirs[apart], labels[apart])
                workbench.run("svm-predict", "-q", "-b", "1", rows, f"{name}.libsvm", "out")
                theirs = numpy.loadtxt(workbench.path("out"), skiprows=1)[:, 1]
                # libSVM keeps probabilities 1e-7 away from 0 and 1, and prints six digits.
                ours = workbench.probabilities(name, scores)
                numpy.testing.assert_allclose(theirs, ours, atol=1e-3 if by_program else 2e-6)


class Import(unittest.TestCase):
    def check(self, their_file: str):
        _, features = workbench.rows()
        workbench.upbeat(f"model import --format libsvm {their_file} -o imported.json")
        theirs = decision_values(svmutil.svm_load_model(workbench.path(their_file)), features)
        workbench.assert_predicts_as("imported.json", theirs)

    def test_models_of_svm_train_give_their_values_in_both_orders_of_labels(self):
        workbench.rows()
        workbench.write_rows_with_1_first()
        for rows, first in (("train.txt", "0 1"), ("train-1-first.txt", "1 0")):
            for name, flags in THEIRS.items():
                with self.subTest(kernel=name, labels=first):
                    workbench.run("svm-train", "-q", *flags.split(), rows, "theirs.model")
                    text = (workbench.FOLDER / "theirs.model").read_text()
                    self.assertIn(f"label {first}\n", text)
                    self.check("theirs.model")
                    if "probabilities" in name:
                        workbench.run("svm-predict", "-q", "-b", "1", "held.txt", "theirs.model", "out")
                        column = 1 + first.split().index("1")
                        theirs = numpy.loadtxt(workbench.path("out"), skiprows=1)[:, column]
                        scores = workbench.predicted("imported.json")[1]
                        ours = workbench.probabilities("imported.json", scores)
                        numpy.testing.assert_allclose(ours, theirs, atol=2e-6)

    def test_models_of_the_newer_library_give_their_values(self):
        workbench.rows()
        labels, features = workbench.read_rows("train.txt")
        for flags in THEIRS.values():
            with self.subTest(flags):
                model = svmutil.svm_train(labels, workbench.as_pairs(features), f"-q {flags}")
                svmutil.svm_save_model(workbench.path("newer.model"), model)
                self.check("newer.model")

    def test_models_other_than_two_class_classifiers_are_refused(self):
        workbench.rows()
        for flags, message in (("-s 2", "`svm_type` must be c_svc"), ("-s 3", "must be c_svc"), ("-s 1", "must be c_svc")):
            with self.subTest(flags):
                nu = "-n 0.05" if flags == "-s 1" else "-n 0.5"
                workbench.run("svm-train", "-q", *flags.split(), *nu.split(), "train.txt", "theirs.model")
                stderr = workbench.refused("model import theirs.model -o imported.json")
                self.assertIn(message, stderr)


if __name__ == "__main__":
    unittest.main()
