"""Against scikit-learn's SVC, which is libSVM 3.x in double precision: the same settings, the same labels."""

import unittest

import numpy
import workbench
from sklearn.svm import SVC

# Share of held-out rows whose label is the same.
AGREEMENT = 0.999


def twin(name: str) -> SVC:
    """scikit-learn's machine with our model's settings, trained on our training rows, scaled as we scale."""
    parts = workbench.content(name)
    kernel = parts["kernel"]
    labels, features = workbench.read_rows("train.txt")
    machine = SVC(
        C=parts["training"]["c"],
        kernel=kernel["type"],
        gamma=kernel.get("gamma", 1.0),
        coef0=kernel.get("coef0", 0.0),
        degree=kernel.get("degree", 3),
    )
    return machine.fit(workbench.scaled(name, features), labels)


class Training(unittest.TestCase):
    def test_labels_of_held_out_rows_agree(self):
        _, features = workbench.rows()
        for shape in workbench.SHAPES:
            with self.subTest(shape):
                name = workbench.model(*shape)
                theirs = twin(name).decision_function(workbench.scaled(name, features))
                same = (workbench.predicted(name)[1] > 0) == (theirs > 0)
                self.assertGreaterEqual(same.mean(), AGREEMENT, f"{numpy.sum(~same)} rows differ")

    def test_dual_objectives_agree(self):
        workbench.rows()
        for shape in workbench.SHAPES:
            with self.subTest(shape):
                name = workbench.model(*shape)
                machine = twin(name)
                signed, vectors = machine.dual_coef_[0], machine.support_vectors_
                kernel = workbench.content(name)["kernel"]
                values = kernel_values(kernel, vectors)
                theirs = 0.5 * signed @ values @ signed - numpy.abs(signed).sum()
                ours = workbench.content(name)["training"]["parameters"]["objective"]
                self.assertLessEqual(abs(ours - theirs), 1e-3 * abs(theirs), f"{ours} and {theirs}")


def kernel_values(kernel: dict, vectors: numpy.ndarray) -> numpy.ndarray:
    products = vectors @ vectors.T
    if kernel["type"] == "linear":
        return products
    gamma, coef0 = kernel["gamma"], kernel.get("coef0", 0.0)
    if kernel["type"] == "rbf":
        squares = numpy.diag(products)
        return numpy.exp(-gamma * (squares[:, None] + squares[None, :] - 2 * products))
    if kernel["type"] == "poly":
        return (gamma * products + coef0) ** kernel["degree"]
    return numpy.tanh(gamma * products + coef0)


if __name__ == "__main__":
    unittest.main()
