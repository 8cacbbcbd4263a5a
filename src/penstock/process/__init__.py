"""What every process of a node stands on: clock, log, standard streams, its parent and children, back-off, faults."""
