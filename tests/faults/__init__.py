"""Faults, hostile input and what came of them; `docs/reliability.md` says how."""

import os

ALL = os.environ.get("FAULTS") == "all"
"""Whether `make faults` runs, and not the short part in `make test`."""
