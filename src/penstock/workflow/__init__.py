"""Workflows as pure rules: from what has happened to what is to be done next. No I/O, no clock; stores drive it."""
