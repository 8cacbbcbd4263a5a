"""The worker: a supervisor that owns leases, heartbeats and settling, and executors that run user code.

* `supervisor` never imports user code; it leases, hands out, extends, settles, and replaces executors that die.
* `forkserver` is the template process: it imports the application once and forks executors on request.
* `executor` runs jobs in *lanes*: ``process`` (plain functions, one at a time on the main thread), ``async``
  (coroutines, many at a time on an event loop) and ``thread`` (plain functions on threads, where asked for).
* `scoreboard` is the memory that an executor's lane shares with the supervisor: what runs now, since when. It is read
  without asking the executor, so a job that holds the interpreter, or a process that is gone, still has its say.
* `ledger`, `watch`, `dispatch`, `settlement` and `outcomes` are pure: what is held, what is overdue, who gets what.
"""
