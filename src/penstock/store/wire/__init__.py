"""The store contract between processes: one owner serves an engine, everybody else is its client.

* `calls` the table of calls, made from `penstock.ports` · `protocol` frames, hello, errors (both without I/O)
* `gathering` makes one enqueue of many, in the asynchronous client and in the owner
* `owner/` the owner's process: its loop is in `serving`
* `client/` everybody else's: `blocking` for threads, `async_client` for an event loop

Owner and clients import `calls`, `protocol` and `gathering`, and nothing of each other.
"""
