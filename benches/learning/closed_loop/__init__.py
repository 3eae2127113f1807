"""What benches/learning/run does."""
