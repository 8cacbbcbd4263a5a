"""The rivals: what each is, how it is installed and started, and the work that all of them are given.

`apps` and `producer` and `work` run in a rival's own environment and import only the standard library and that rival.
"""
