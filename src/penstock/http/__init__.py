"""A server of HTTP/1.1, for the gate and for whoever else answers requests: bytes in, answers out, within limits."""
