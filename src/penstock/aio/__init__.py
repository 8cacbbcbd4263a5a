"""Ground for everything that runs: the clock, service lifecycle, back-off, bounded channels."""
