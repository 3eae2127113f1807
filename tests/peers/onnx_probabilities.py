#!/usr/bin/env python3
"""Prints the table of docs/decisions/onnx-export.md: how far probabilities in onnxruntime are from the formula.

    UPBEAT_BINARY=target/release/upbeat tests/peers/onnx_probabilities.py
"""

import numpy
import onnx
import onnxruntime
import workbench


def probabilities(model: onnx.ModelProto, features: numpy.ndarray) -> numpy.ndarray:
    """The last output's second column, whichever label it is of."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"X": features.astype(numpy.float32)})[-1][:, 1]


def main():
    _, features = workbench.rows()
    print("| kernel | `prob_a`, `prob_b` | operators behind the score |\n|---|---:|---:|")
    for kernel in ("rbf", "poly", "sigmoid"):
        name = workbench.model(kernel, "standard")
        expected = workbench.probabilities(name, workbench.predicted(name)[1])
        workbench.upbeat(f"model export --format onnx {name} -o ours.onnx")
        ours = probabilities(onnx.load(workbench.path("ours.onnx")), features)

        plain = workbench.uncalibrated(name)
        workbench.upbeat(f"model export --format onnx {plain} -o theirs.onnx")
        model = onnx.load(workbench.path("theirs.onnx"))
        calibration = workbench.content(name)["calibration"]
        classifier = model.graph.node[-1]
        classifier.attribute.append(onnx.helper.make_attribute("prob_a", [calibration["a"]]))
        classifier.attribute.append(onnx.helper.make_attribute("prob_b", [calibration["b"]]))
        # The classifier's first label is the positive one, and so is its first column of probabilities.
        theirs = 1 - probabilities(model, features)
        worst = [numpy.abs(given - expected).max() for given in (theirs, ours)]
        print(f"| {kernel} | {worst[0]:.1e} | {worst[1]:.1e} |")


if __name__ == "__main__":
    main()
