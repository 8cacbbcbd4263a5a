"""What Penstock does a second, each figure beside a control of the same run: `python -m benchmarks`."""
