"""docs/cluster/rayjob.yaml says what KubeRay and a sweep need.

KubeRay's own schema is not used: it lives in a cluster, and no offline copy was at hand. What is checked is
the structure that the checks below read, and the entry point by the command line's own parser.
"""

import copy
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from run_sweep import _parser
from tests.cluster.launcher_rules import ROOT, pins

Change = Callable[[Any], Any]
GPU = "nvidia.com/gpu"


def document() -> Any:
    """The file as it stands."""
    return yaml.safe_load((ROOT / "docs" / "cluster" / "rayjob.yaml").read_text())


def complaints(job: Any) -> list[str]:
    """Everything that is wrong with a document; empty if it may be used."""
    try:
        return [*_job(job), *_entry_point(job), *_nodes(job["spec"]["rayClusterSpec"])]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return [f"not the structure of a RayJob: {error!r}"]


def _job(job: Any) -> Iterator[str]:
    if (job["apiVersion"], job["kind"]) != ("ray.io/v1", "RayJob"):
        yield "no RayJob"
    if not job["metadata"]["name"]:
        yield "no name"
    if not 1 <= job["spec"]["backoffLimit"] <= 10:
        yield "a driver that dies is not started again, or for ever"
    if job["spec"]["shutdownAfterJobFinishes"] is not True:
        yield "the cluster outlives the sweep"
    cluster = job["spec"]["rayClusterSpec"]
    if cluster["rayVersion"] != pins()["ray[tune]"]:
        yield "another Ray than requirements.txt"
    if cluster.get("authOptions", {}).get("mode") != "token":
        yield "no token authentication"


def _entry_point(job: Any) -> Iterator[str]:
    python, program, *arguments = shlex.split(job["spec"]["entrypoint"])
    if (python, program) != ("python", "run_sweep.py"):
        yield "the entry point is another program"
    try:
        options = _parser().parse_args(arguments)
    except SystemExit:
        yield "the entry point is refused by run_sweep.py"
        return
    if options.command != "run":
        yield "the entry point runs nothing"
    elif not (options.storage or "").startswith("s3://") or not options.checkpoint_every:
        yield "the entry point cannot go on in another cluster"
    elif options.mirror_every > 20:
        yield "a new driver comes before the lease of the old one has ended"


def _nodes(cluster: Any) -> Iterator[str]:
    head = cluster["headGroupSpec"]
    if (head["rayStartParams"].get("num-cpus"), head["rayStartParams"].get("num-gpus")) != ("0", "0"):
        yield "the head takes trials"
    if GPU in _container(head)["resources"]["limits"]:
        yield "the head holds a GPU"
    if cluster.get("enableInTreeAutoscaling") is not True:
        yield "workers do not come and go"
    if not 0 < cluster["autoscalerOptions"]["idleTimeoutSeconds"] <= 1800:
        yield "idle workers stay"
    if not cluster["workerGroupSpecs"]:
        yield "there are no workers"
    for group in cluster["workerGroupSpecs"]:
        yield from _workers(group, image=_container(head)["image"])
    for group in (head, *cluster["workerGroupSpecs"]):
        if group["template"]["spec"].get("restartPolicy") != "Never":
            yield "a pod comes back as a node that Ray has given up"
        if any(not isinstance(value, str) for value in group["rayStartParams"].values()):
            yield "rayStartParams must be text"


def _workers(group: Any, image: str) -> Iterator[str]:
    if not group["groupName"] or not 0 == group["minReplicas"] <= group["replicas"] < group["maxReplicas"]:
        yield "workers are kept without work, or there is room for none"
    resources = _container(group)["resources"]
    if not all(int(resources[kind].get(GPU, 0)) >= 1 for kind in ("requests", "limits")):
        yield "workers have no GPU"
    if _container(group)["image"] != image:
        yield "nodes differ in their software"


def _container(group: Any) -> Any:
    """Ray's is the first of a pod."""
    return group["template"]["spec"]["containers"][0]


def cluster(job: Any) -> Any:
    return job["spec"]["rayClusterSpec"]


def worker(job: Any) -> Any:
    return cluster(job)["workerGroupSpecs"][0]


def entry(old: str, new: str) -> Change:
    def change(job: Any) -> None:
        assert old in job["spec"]["entrypoint"]
        job["spec"]["entrypoint"] = job["spec"]["entrypoint"].replace(old, new)

    return change


def test_it_is_valid() -> None:
    assert complaints(document()) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(lambda d: d.update(apiVersion="ray.io/v1alpha1"), "no RayJob", id="version"),
        pytest.param(lambda d: d["spec"].pop("entrypoint"), "not the structure", id="no entry point"),
        pytest.param(lambda d: cluster(d).pop("headGroupSpec"), "not the structure", id="no head"),
        pytest.param(lambda d: d["spec"].update(backoffLimit=0), "not started again", id="no retry"),
        pytest.param(lambda d: d["spec"].update(shutdownAfterJobFinishes=False), "outlives", id="stays"),
        pytest.param(lambda d: cluster(d).update(rayVersion="2.52.0"), "another Ray", id="other Ray"),
        pytest.param(lambda d: cluster(d).pop("authOptions"), "no token", id="no authOptions"),
        pytest.param(lambda d: cluster(d)["authOptions"].update(mode="disabled"), "no token", id="disabled"),
        pytest.param(entry("--storage s3://BUCKET/STUDY", ""), "cannot go on", id="no storage"),
        pytest.param(entry("s3://BUCKET/STUDY", "/tmp/sweep"), "cannot go on", id="storage on the pod"),
        pytest.param(entry("every 500", "every 0"), "cannot go on", id="no checkpoints"),
        pytest.param(entry("every 20s", "every 10m"), "before the lease", id="long lease"),
        pytest.param(entry("--out /tmp/sweep", ""), "refused by run_sweep.py", id="no --out"),
        pytest.param(entry("run_sweep.py run STUDY", "run_sweep.py doctor"), "refused by", id="no run"),
        pytest.param(entry("run_sweep.py", "main.py"), "another program", id="other program"),
        pytest.param(
            lambda d: cluster(d)["headGroupSpec"]["rayStartParams"].pop("num-cpus"), "takes trials", id="head"
        ),
        pytest.param(
            lambda d: cluster(d)["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}),
            "must be text",
            id="number",
        ),
        pytest.param(lambda d: cluster(d).pop("enableInTreeAutoscaling"), "come and go", id="no autoscaling"),
        pytest.param(
            lambda d: cluster(d)["autoscalerOptions"].update(idleTimeoutSeconds=10**6), "idle", id="idle"
        ),
        pytest.param(lambda d: cluster(d).update(workerGroupSpecs=[]), "no workers", id="no workers"),
        pytest.param(lambda d: worker(d).update(minReplicas=1, replicas=1), "without work", id="kept"),
        pytest.param(
            lambda d: _container(worker(d))["resources"]["limits"].pop(GPU), "no GPU", id="no GPU limit"
        ),
        pytest.param(lambda d: _container(worker(d)).update(image="other"), "differ", id="two images"),
        pytest.param(lambda d: worker(d)["template"]["spec"].pop("restartPolicy"), "given up", id="restart"),
    ],
)
def test_what_must_not_be_is_refused(
    change: Change, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job = copy.deepcopy(document())
    change(job)
    assert complaint in " | ".join(complaints(job))
