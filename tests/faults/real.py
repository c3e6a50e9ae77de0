"""Real sweeps to be disturbed: a cluster of local nodes, and an undisturbed sweep to compare with."""

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

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


def start_cluster(nodes: int) -> Any:
    """A cluster on this machine: a head, and nodes of two CPUs. Without nodes the head has two.

    Drivers are attached to the head, which is never killed alone.
    """
    from ray.cluster_utils import Cluster

    from sweeps.engine import access

    head = {"num_cpus": 0 if nodes else 2, "include_dashboard": False}
    access.protect_token()  # a cluster without one is not joined
    started = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
    for _ in range(nodes):
        patiently(lambda: started.add_node(num_cpus=2))
    started.wait_for_nodes()
    return started


def patiently(start: Callable[[], Any]) -> Any:
    """Starts a node. Ray gives one 30 s, which a busy machine may not keep, so it is tried three times."""
    for _ in range(2):
        try:
            return start()
        except Exception as error:  # Ray's, which is a bare one
            if "timed out during startup" not in str(error):
                raise
    return start()


def whole_sweep(out: Path) -> tuple[Path, int]:
    """Runs an undisturbed sweep in `out`; returns that, and the moments that its driver passed."""
    with counted(Moments(out)) as moments:
        outcome, shown = run_real(out)
    assert outcome.counts["complete"] == len(STUDY.trials()) == 6, shown
    return out, moments.count


@contextlib.contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """A cluster on this machine, as of `start_cluster`, which this process has joined."""
    from sweeps.engine import runtime
    from sweeps.study import Resources

    started = start_cluster(nodes)
    try:
        with runtime.connected(started.address, Resources()):
            yield started
    finally:
        started.shutdown()
