"""The supervisor process: leases, heartbeats, settling, executors kept alive. No user code runs here."""
