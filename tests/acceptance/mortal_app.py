"""An application whose executors cannot live."""

from __future__ import annotations

import os

from penstock.tasks.app import Penstock

app = Penstock()
os.register_at_fork(after_in_child=lambda: os._exit(3))
