"""Benchmarks against peers. `facelib bench` runs them; RESULTS.md keeps what they found."""
