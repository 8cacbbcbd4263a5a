"""An application that ends the process that imports it."""

from __future__ import annotations

import ctypes
import os

if os.environ["WAY"] == "exit":
    os._exit(3)
ctypes.string_at(0)
