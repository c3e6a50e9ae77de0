"""cluster.yaml: valid by Ray's schema and preparation, and launched on a pretended AWS."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.launcher_rules import ROOT, complaints, document, prepared

Change = Callable[[Any], Any]


def head(written: Any) -> Any:
    return written["available_node_types"]["head"]


def worker(written: Any) -> Any:
    return written["available_node_types"]["gpu-spot"]


def replaced(key: str, old: str, new: str) -> Change:
    def change(written: Any) -> None:
        assert any(old in line for line in written[key])
        written[key] = [line.replace(old, new) for line in written[key]]

    return change


def test_it_is_valid() -> None:
    assert complaints(document()) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(lambda d: d.pop("provider"), "Ray refuses it", id="no provider"),
        pytest.param(lambda d: d.update(cluster_name=8), "Ray refuses it", id="name"),
        pytest.param(lambda d: d.update(max_worker=2), "Ray refuses it", id="unknown key"),
        pytest.param(lambda d: d.update(head_node_type="no"), "Ray refuses it", id="unknown head"),
        pytest.param(lambda d: worker(d).pop("resources"), "Ray refuses it", id="no resources"),
        pytest.param(lambda d: worker(d).pop("node_config"), "Ray refuses it", id="no node_config"),
        pytest.param(lambda d: worker(d)["resources"].update(GPU=0.5), "Ray refuses it", id="half a GPU"),
        pytest.param(lambda d: worker(d)["resources"].pop("GPU"), "declares no GPU", id="no GPU"),
        pytest.param(lambda d: head(d)["resources"].pop("CPU"), "the head takes trials", id="head CPUs"),
        pytest.param(lambda d: head(d)["resources"].update(GPU=1), "the head takes trials", id="head GPU"),
        pytest.param(
            replaced("head_start_ray_commands", "--num-cpus=0 ", ""),
            "without --num-cpus=0",
            id="head detects",
        ),
        pytest.param(
            lambda d: worker(d)["node_config"].pop("InstanceMarketOptions"), "is not spot", id="on demand"
        ),
        pytest.param(lambda d: worker(d).update(min_workers=1), "kept without work", id="min_workers"),
        pytest.param(lambda d: worker(d).update(max_workers=9), "more than the cluster", id="max_workers"),
        pytest.param(lambda d: d.update(idle_timeout_minutes=0), "idle workers stay", id="idle"),
        pytest.param(lambda d: d["provider"].pop("cache_stopped_nodes"), "still paid for", id="stopped"),
        pytest.param(
            lambda d: d.pop("head_start_ray_commands"), "dashboard listens on ['0.0.0.0']", id="Ray's default"
        ),
        pytest.param(
            replaced("head_start_ray_commands", " --dashboard-host=127.0.0.1", ""),
            "the dashboard listens on []",
            id="no dashboard host",
        ),
        pytest.param(
            replaced("worker_start_ray_commands", "export RAY_AUTH_MODE=token; ", ""),
            "worker is started without token",
            id="worker without token",
        ),
        pytest.param(
            replaced("head_start_ray_commands", "RAY_AUTH_MODE=token", "RAY_AUTH_MODE=disabled"),
            "head is started without token",
            id="head disabled",
        ),
        pytest.param(
            replaced("setup_commands", "RAY_AUTH_MODE=token", ""), "shells on the worker lack", id="shells"
        ),
        pytest.param(lambda d: d["file_mounts"].pop("~/.ray/auth_token"), "nodes lack", id="no token"),
        pytest.param(lambda d: d["file_mounts"].update({"~/x": "."}), "no part of the program", id="all"),
        pytest.param(
            replaced("setup_commands", "-r ~/byol-sweeps/requirements.txt", "torch"),
            "does not install requirements.txt",
            id="not pinned",
        ),
        pytest.param(
            replaced("setup_commands", " -c ~/byol-sweeps/requirements.lock", ""),
            "as requirements.lock has it",
            id="not locked",
        ),
        pytest.param(replaced("setup_commands", "uv==", "uv==1"), "another uv", id="other uv"),
        pytest.param(
            replaced("head_setup_commands", "ray[default]==", "ray[default]==1"),
            "another Ray",
            id="other Ray",
        ),
    ],
)
def test_what_must_not_be_is_refused(change: Change, complaint: str) -> None:
    written = document()
    change(written)
    assert complaint in " | ".join(complaints(written))


@pytest.mark.timeout(60)
def test_ray_launches_it_on_a_pretended_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through Ray's own bootstrap: what AWS is asked for is one plain head and one spot instance."""
    import boto3
    from moto import mock_aws

    monkeypatch.setenv("HOME", str(tmp_path))  # Ray leaves an SSH key there
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "pretended")
    with mock_aws():
        from ray.autoscaler import tags
        from ray.autoscaler._private.aws.config import bootstrap_aws
        from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

        profiles = boto3.client("iam", region_name="us-west-2")
        for name in ("byol-sweeps-head", "byol-sweeps-worker"):
            profiles.create_instance_profile(InstanceProfileName=name)
        cluster = bootstrap_aws(prepared(document()))
        nodes = AWSNodeProvider(cluster["provider"], cluster["cluster_name"])
        for name, kind in cluster["available_node_types"].items():
            label = {tags.TAG_RAY_NODE_NAME: name, tags.TAG_RAY_NODE_KIND: name}
            nodes.create_node(kind["node_config"], {**label, tags.TAG_RAY_LAUNCH_CONFIG: "it"}, 1)
        aws = boto3.client("ec2", region_name="us-west-2")
        reservations = aws.describe_instances()["Reservations"]
        instances = [reservation["Instances"][0] for reservation in reservations]
        assert {
            (
                instance["InstanceType"],
                instance.get("InstanceLifecycle"),
                instance["IamInstanceProfile"]["Arn"].split("/")[-1],
            )
            for instance in instances
        } == {("m7i.large", None, "byol-sweeps-head"), ("g6.xlarge", "spot", "byol-sweeps-worker")}
        ids = {group["GroupId"] for instance in instances for group in instance["SecurityGroups"]}
        groups = aws.describe_security_groups(GroupIds=sorted(ids))["SecurityGroups"]
        rules = [rule for group in groups for rule in group["IpPermissions"]]
        from_outside = {rule["ToPort"] for rule in rules if rule["IpRanges"]}
        assert from_outside == {22}, "of Ray's ports none is open to the world"


@pytest.mark.timeout(90)
def test_what_is_copied_to_the_nodes_is_enough(tmp_path: Path) -> None:
    place = tmp_path / "byol-sweeps"
    for remote, local in document()["file_mounts"].items():
        source, target = ROOT / local, place / remote.removeprefix("~/byol-sweeps/")
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif not local.startswith("~"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    code = """
import byol.train, sweeps.engine, sweeps.run, analysis.page.report, run_sweep
from byol.data import load_data
assert len(load_data("fashion-mnist-8k", train_images=8).train_images) == 8
assert run_sweep.main(["plan", "collapse-quickstart"]) == 0
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "= 15" in done.stdout


def test_shells_of_a_node_have_the_token_mode_once(tmp_path: Path) -> None:
    line = next(line for line in document()["setup_commands"] if ".bashrc" in line)
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    for _ in range(2):
        subprocess.run(["bash", "-c", line], env=home, check=True)
    assert len((tmp_path / ".bashrc").read_text().splitlines()) == 1
    # Ray runs its commands in an interactive login shell, as the launcher's own setup does.
    (tmp_path / ".bash_profile").write_text(". ~/.bashrc\n")
    shell = ["bash", "--login", "-c", "-i", "echo $RAY_AUTH_MODE ${PATH%%:*}"]
    done = subprocess.run(shell, env=home, capture_output=True, text=True, check=True)
    assert done.stdout == f"token {tmp_path}/venv/bin\n"
