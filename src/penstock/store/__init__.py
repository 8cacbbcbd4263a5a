"""Stores: `sqlite` is the engine, `wire` carries the store contract between processes, `embedded` puts them together.

`directory` knows what lies in an embedded store's directory and what may not.
"""
