//! The simulator: listeners with habits, and a planted truth for who clicks what.
