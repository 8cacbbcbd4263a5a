"""The worker: one supervisor, which talks to the store, and executors, which run user code.

* `supervisor/` is what the supervisor's process runs. It never imports user code. It leases jobs, hands them out,
  extends their leases, settles their outcomes, and replaces executors that die. Its `ledger`, `watch`, `dispatch`,
  `settlement` and `suspects` are pure: what is held, what is overdue, who gets what, what is sent, who is to
  blame.
* `executor/` is what the other processes run. `forkserver` imports the application once and forks executors on request;
  `executor` runs jobs in *lanes*: ``process`` (plain functions, one at a time on the main thread), ``async``
  (coroutines, many at a time on an event loop) and ``thread`` (plain functions on threads, where a task asks for one).
* The files beside these two folders are what both sides speak: `messages` over a socket, `outcomes` of jobs, and
  `scoreboard`, the memory that a lane shares with the supervisor. It shows which jobs run and since when, and is read
  without asking the executor, so it can be read also while a job holds the interpreter, and after the process was
  killed.
"""
