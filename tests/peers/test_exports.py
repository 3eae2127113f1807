"""Every export scored by its own reader, over problems of many kinds; `tests/peers/exports.py` takes all of them."""

import itertools
import unittest
import warnings

import exports
import zoo

# Each kind of problem with a line for each way to train, taken in turn, so that every pair of neighbours is met.
FLAGS = [
    "", "--kernel rbf --scale none", "--loss logistic", "--kernel rbf --gamma 20 -c 100", "-c 1000 --scale none",
    "--kernel poly --degree 2 --coef0 1", "--loss squared-hinge --calibration isotonic",
    "--kernel sigmoid --gamma 0.05 --coef0 -0.5", "--kernel rbf --calibration none",
]
EACH = 2


class Exports(unittest.TestCase):
    def test_every_export_gives_the_labels_and_probabilities_of_its_model_or_is_refused_with_a_sentence(self):
        warnings.simplefilter("ignore")
        turns = itertools.cycle(FLAGS)
        scored = 0
        for kind in zoo.KINDS:
            for flags in itertools.islice(turns, EACH):
                with self.subTest(kind.__name__, flags=flags):
                    scored += sum(isinstance(apart, float) for apart in exports.check(kind, flags).values())
        # Refusals are the exception.
        self.assertGreater(scored, 1.5 * EACH * len(zoo.KINDS))

    def test_rows_that_32_bit_floats_do_not_hold_are_refused_in_onnx_alone(self):
        for kind, named in ((zoo.great_values, "3.4028234663852886e38"), (zoo.small_values, "becomes 0"),
                            (zoo.far_from_zero, "becomes 1000000000")):
            with self.subTest(kind.__name__):
                found = exports.check(kind, "")
                self.assertIn("ONNX takes rows as 32-bit floats", str(found["onnx"]))
                self.assertIn(named, found["onnx"])
                self.assertIsInstance(found["LIBLINEAR scores"], float)


if __name__ == "__main__":
    unittest.main()
