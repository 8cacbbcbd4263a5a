"""Composed work: calls of tasks put together to chains, groups, chords and graphs, and the workflows they become."""
