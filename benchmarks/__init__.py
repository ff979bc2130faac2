"""vmtpy measured against its peers. Run from the repository: `python -m benchmarks`."""
