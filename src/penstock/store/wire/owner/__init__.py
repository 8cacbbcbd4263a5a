"""The owner's side of the wire: the loop of the one process that has the database open."""
