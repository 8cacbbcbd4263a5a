"""Every limit, named once, with what is answered there.

Relations between limits, each with its reason, are in ``tests/unit/model/test_limits.py``.
"""

from __future__ import annotations

from penstock.model.limits.gate import *  # noqa: F403 - every limit is reached under one name
from penstock.model.limits.http import *  # noqa: F403 - every limit is reached under one name
from penstock.model.limits.nsq import *  # noqa: F403 - every limit is reached under one name
from penstock.model.limits.nsq_data_directory import *  # noqa: F403 - every limit is reached under one name
from penstock.model.limits.nsqlookupd import *  # noqa: F403 - every limit is reached under one name
from penstock.model.limits.store import *  # noqa: F403 - every limit is reached under one name
from penstock.model.limits.worker import *  # noqa: F403 - every limit is reached under one name
