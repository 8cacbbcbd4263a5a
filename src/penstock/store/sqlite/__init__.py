"""The embedded engine: one SQLite file, opened by its owner alone."""
