"""The client's side of the wire: runs in producers, gates and supervisors."""
