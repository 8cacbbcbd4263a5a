"""For all tests: Hypothesis without time limits (machines differ), and what was skipped named at the end."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("penstock", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("penstock")
