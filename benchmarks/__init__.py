"""Side-by-side measurements, run by hand: `make bench`. Results are in benchmarks/README.md."""
