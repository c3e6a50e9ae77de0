"""Real sweeps to be disturbed: a cluster of local nodes, and an undisturbed sweep to compare with."""

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweeps import files
from sweeps.options import RunOptions, RunOutcome
from sweeps.run import run
from sweeps.study import Study, study_from_text
from sweeps.trainer import Trainer
from tests.faults.moments import Moments, counted
from tests.faults.saving import SAVING
from tests.sweeps.conftest import SMALL

TEXT = SMALL.replace("batch: {projector", "diverging: {lr: 1000}\n    batch: {projector")
STUDY = study_from_text(TEXT.replace("seeds: 2", "seeds: 1"), "small.yaml")
"""Six trials, of which two diverge: NaN has to come through, too."""
TABLES = (files.TRIALS, files.METRICS, files.SPECTRA)
DIFFERING = ("wall_seconds", "attempt", "device")
"""What may differ from run to run: times, how often a trial was started, and where it ran."""


def tables(out: Path) -> list[bytes]:
    """The tables' bytes, without the columns that may differ."""
    found = []
    for name in TABLES:
        table = pq.read_table(out / name)
        table = table.drop_columns([column for column in DIFFERING if column in table.column_names])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as writer:
            writer.write_table(table.replace_schema_metadata().combine_chunks())
        found.append(sink.getvalue().to_pybytes())
    return found


def run_real(
    out: Path, study: Study = STUDY, *, trainer: Trainer = SAVING, **options: Any
) -> tuple[RunOutcome, str]:
    """Runs a study on the Ray of this process, two trials at a time; the outcome, and what was shown."""
    stream = io.StringIO()
    outcome = run(study, out, options=RunOptions(workers=2, **options), trainer=trainer, stream=stream)
    return outcome, stream.getvalue()


@contextlib.contextmanager
def local_nodes(count: int) -> Iterator[Any]:
    """A cluster on this machine: a head, and nodes of two CPUs. Without nodes the head has two.

    Drivers are attached to the head, which is never killed alone. Tokens are on, as they are for drivers.
    """
    from ray._private.authentication.authentication_token_setup import enable_token_auth_by_default
    from ray.cluster_utils import Cluster

    from sweeps.engine import access
    from sweeps.engine.environment import AUTH_MODE

    head = {"num_cpus": 0 if count else 2, "include_dashboard": False}
    access.protect_token()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(AUTH_MODE, "")  # to have it back at the end
        patch.delenv(AUTH_MODE)
        enable_token_auth_by_default()
        started = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
        try:
            for _ in range(count):
                patiently(lambda: started.add_node(num_cpus=2))
            started.wait_for_nodes()
            yield started
        finally:
            started.shutdown()


def patiently(start: Callable[[], Any]) -> Any:
    """Starts a node. Ray gives one 30 s, which a busy machine may not keep, so it is tried three times."""
    for _ in range(2):
        try:
            return start()
        except Exception as error:  # Ray's, which is a bare one
            if "timed out during startup" not in str(error):
                raise
    return start()


def whole_sweep(out: Path, **options: Any) -> tuple[Path, int]:
    """Runs an undisturbed sweep in `out`; returns that, and the moments that its driver passed."""
    with counted(Moments(out)) as moments:
        outcome, shown = run_real(out, **options)
    assert outcome.counts["complete"] == len(STUDY.trials()) == 6, shown
    return out, moments.count


@contextlib.contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """A cluster on this machine, as of `local_nodes`, which this process has joined."""
    from sweeps.engine import runtime
    from sweeps.study import Resources

    with local_nodes(nodes) as started, runtime.connected(started.address, Resources()):
        yield started
