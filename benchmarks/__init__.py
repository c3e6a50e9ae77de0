"""Side-by-side measurements, run by hand: `make bench`. Figures are kept in benchmarks/README.md."""
