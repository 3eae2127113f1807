"""ONNX exports in onnxruntime: our labels, and our probabilities and scores as 32-bit floats have them."""

import json
import unittest

import numpy
import onnx
import onnxruntime
import workbench

# Rounding errors of a score's terms, in units of the precision of a 32-bit float.
ROUNDINGS = 16


def tolerance(name: str) -> numpy.ndarray:
    """How far each held-out row's score may be off when it is a sum of 32-bit floats."""
    return ROUNDINGS * numpy.finfo(numpy.float32).eps * (1 + workbench.magnitudes(name, workbench.rows()[1]))


def loaded(name: str, output: str) -> onnxruntime.InferenceSession:
    workbench.upbeat(f"model export --format onnx {name} -o {output}")
    onnx.checker.check_model(onnx.load(workbench.path(output)), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(workbench.path(output), options, providers=["CPUExecutionProvider"])


class Export(unittest.TestCase):
    def assert_within(self, given: numpy.ndarray, expected: numpy.ndarray, off: numpy.ndarray):
        share = numpy.max(numpy.abs(given - expected) / off)
        self.assertLessEqual(share, 1.0, "more than rounding to 32 bits explains")

    def check(self, name: str):
        """A calibrated model's labels and probabilities."""
        _, features = workbench.rows()
        session = loaded(name, "ours.onnx")
        self.assertEqual([output.name for output in session.get_outputs()], ["label", "probabilities"])
        labels, given = session.run(None, {"X": features.astype(numpy.float32)})
        ours, scores = workbench.predicted(name)
        off = tolerance(name)
        apart = workbench.clear(scores, off)
        self.assertGreater(apart.mean(), 0.99)
        self.assertEqual(labels.dtype, numpy.int64)
        numpy.testing.assert_array_equal(labels[apart], ours[apart])
        # A sigmoid is nowhere steeper than a quarter of its slope.
        off = off * (1 + abs(workbench.content(name)["calibration"]["a"]) / 4)
        expected = workbench.probabilities(name, scores)
        self.assert_within(given[:, 1], expected, off)
        self.assert_within(given[:, 0], 1 - expected, off)

    def check_scores(self, name: str):
        """An uncalibrated model's labels and scores."""
        _, features = workbench.rows()
        session = loaded(name, "ours.onnx")
        self.assertEqual([output.name for output in session.get_outputs()], ["label", "scores"])
        labels, given = session.run(None, {"X": features.astype(numpy.float32)})
        ours, scores = workbench.predicted(name)
        off = tolerance(name)
        apart = workbench.clear(scores, off)
        numpy.testing.assert_array_equal(labels[apart], ours[apart])
        self.assert_within(given[:, 1], scores, off)
        self.assert_within(given[:, 0], -scores, off)

    def test_every_kernel_and_scale_agrees_with_and_without_calibration(self):
        for shape in workbench.SHAPES:
            with self.subTest(shape):
                self.check(workbench.model(*shape))
                self.check_scores(workbench.uncalibrated(workbench.model(*shape)))

    def test_other_labels_and_one_sided_coefficients_agree(self):
        parts = workbench.content(workbench.model("rbf", "standard"))
        features = workbench.rows()[1].astype(numpy.float32)
        (workbench.FOLDER / "half.json").write_text(
            json.dumps(parts | {"labels": {"positive": "+1", "negative": "-0.5"}}))
        labels, _ = loaded("half.json", "half.onnx").run(None, {"X": features})
        scores = workbench.predicted("half.json")[1]
        apart = workbench.clear(scores, tolerance("half.json"))
        expected = numpy.where(scores > 0, "+1", "-0.5")
        numpy.testing.assert_array_equal(numpy.array(labels, str)[apart], expected[apart])
        for sign in (1, -1):
            with self.subTest(sign=sign):
                coefficients = [sign * abs(coefficient) for coefficient in parts["coefficients"]]
                one_sided = parts | {"coefficients": coefficients}
                (workbench.FOLDER / "one.json").write_text(json.dumps(one_sided))
                middle = -sign * float(numpy.median(numpy.abs(workbench.predicted("one.json")[1])))
                (workbench.FOLDER / "one.json").write_text(json.dumps(one_sided | {"bias": middle}))
                self.check("one.json")
                (workbench.FOLDER / "one.json").write_text(
                    json.dumps(one_sided | {"bias": middle, "calibration": None}))
                self.check_scores("one.json")

    def test_metadata_names_the_model(self):
        name = workbench.model("linear", "standard")
        loaded(name, "ours.onnx")
        metadata = {entry.key: entry.value for entry in onnx.load(workbench.path("ours.onnx")).metadata_props}
        parts = workbench.content(name)
        self.assertIn(metadata["upbeat.model_id"], workbench.upbeat(f"model show {name}").stdout)
        self.assertEqual(metadata["upbeat.feature_names"].split(","), parts["features"]["names"])
        self.assertEqual(metadata["upbeat.window_plays"], str(parts["window"]["plays"]))


if __name__ == "__main__":
    unittest.main()
