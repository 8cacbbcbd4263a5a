"""The store contract between processes: one owner serves an engine, everybody else is its client.

* `protocol` frames, calls and errors (no I/O) · `session` numbering and replay (no I/O)
* `owner` serves an `engine` with group commit, by `connection`, `line`, `parking` and `group`
* `client` for threads, `async_client` for an event loop; `reach` finds an owner or starts one
* `gathering` makes one enqueue of many, in the asynchronous client and in the owner
"""
