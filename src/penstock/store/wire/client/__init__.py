"""The client's side of the wire: runs in producers, gates and supervisors.

For threads: `blocking` (the calls) over `exchange` (who waits for what) over `stream` (one connection). For an event
loop: `async_client` over `async_exchange`, which has its connection with it. Both use `session` (numbers, and what to
repeat), `surface` (methods made from the table of calls) and `reach` (finding or starting an owner). Only the second
uses `sharing` (many callers, one request) and `delivered` (leases that may get lost on the way).
"""
