"""Arguments and results on the wire: checked against a function's signature, encoded, decoded as their types."""
