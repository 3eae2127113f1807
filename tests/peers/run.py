#!/usr/bin/env python3
"""Compares the binary with libSVM, LIBLINEAR, scikit-learn and onnxruntime.

    tests/peers/run.py [BINARY]      target/release/upbeat when not given

Needs tests/peers/requirements.txt and the programs of Debian's libsvm-tools and liblinear-tools.
"""

import os
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent


def main() -> int:
    os.environ["UPBEAT_BINARY"] = sys.argv[1] if len(sys.argv) > 1 else str(HERE.parent.parent / "target/release/upbeat")
    # One thread: sums of two threads would differ from run to run, and the machine is shared.
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    suite = unittest.defaultTestLoader.discover(str(HERE), top_level_dir=str(HERE))
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite)
    bad = len({test.id().split(" ")[0] for test, _ in result.failures + result.errors})
    for test, reason in result.skipped:
        print(f"skipped: {test.id()}: {reason}")
    print(f"# pass {max(result.testsRun - bad - len(result.skipped), 0)}\n# fail {bad}")
    # A suite without tests must not count as passed.
    return int(bad > 0 or result.testsRun == 0)


if __name__ == "__main__":
    sys.exit(main())
