"""Executors and the template that they are forked from: the processes in which user code runs."""
