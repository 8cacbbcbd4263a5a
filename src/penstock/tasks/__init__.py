"""The application: tasks, their arguments on the wire, job handles. Producers, the gate and executors all use it."""
