//! The support vector machine: problem, model, scorer, calibration.
