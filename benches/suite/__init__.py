"""The benches as one: `scripts/bench` runs main.main()."""
