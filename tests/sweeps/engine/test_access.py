"""Who may reach Ray, and whether its workers find what they need."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.engine import access, runtime
from sweeps.errors import EngineError
from sweeps.inspect import status
from sweeps.study import Resources

CHECKOUT = Path(__file__).parents[3]
STUDY = "name: t\\nreference: {steps: 10, eval_every: 5}\\nseeds: 1\\nfactors: {predictor: [mlp, none]}\\n"
SCRIPT = f"""
import sys
sys.path[:0] = [{str(CHECKOUT)!r}, "hidden"]
from pathlib import Path
from sweeps.run import run
from sweeps.study import study_from_text
import hidden_trainer
from sweeps.engine import driver

driver.MAX_RESTARTS = 0  # each start of a worker takes seconds
run(study_from_text("{STUDY}", "t"), Path("out"), trainer=hidden_trainer.TRAINER)
"""
HIDDEN = """
import dataclasses
from sweeps import simulated

def train(config, data, *, checkpoint_folder, checkpoint_every):
    yield from simulated.train(config, data)

TRAINER = dataclasses.replace(simulated.TRAINER, train=train)
"""


def script(folder: Path, text: str) -> "subprocess.CompletedProcess[str]":
    """Runs a script from a folder that is not the checkout's, which only sys.path names."""
    (folder / "script.py").write_text(text)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "script.py"]
    return subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=220
    )


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_a_sweep_from_python_in_another_folder_finds_its_packages(tmp_path: Path) -> None:
    text = SCRIPT.replace("import hidden_trainer", "from sweeps import simulated as hidden_trainer")
    ended = script(tmp_path, text)
    assert ended.returncode == 0, ended.stderr
    assert status(tmp_path / "out")["complete"] == 2


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_workers_that_cannot_start_end_the_sweep_with_their_reason(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "hidden_trainer.py").write_text(HIDDEN)
    ended = script(tmp_path, SCRIPT)
    assert ended.returncode == 1
    reason = ended.stderr.strip().splitlines()[-1]
    assert reason.startswith("sweeps.errors.WorkersError: no worker can start a trial: "), ended.stderr
    assert "ModuleNotFoundError: No module named 'hidden_trainer'" in reason
    counts = status(tmp_path / "out")
    assert (counts["planned"], counts["complete"], counts["failed"]) == (2, 0, 0)


@pytest.mark.ray
@pytest.mark.timeout(240)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_local_ray_listens_on_loopback_alone_and_refuses_who_has_no_token() -> None:
    import ray

    with runtime.connected(None, Resources()):
        ray.get(ray.remote(num_cpus=0)(lambda: None).remote())
        addresses = listening(os.getpid())
        gcs = ray.get_runtime_context().gcs_address
        friend, stranger = connection(gcs, "token"), connection(gcs, "disabled")
    assert len(addresses) >= 5, "driver, GCS, raylet, its agent and a worker"
    assert {address for address in addresses if not loopback(address)} == set()
    assert "inside" in friend.stdout, friend.stderr
    assert "inside" not in stranger.stdout
    assert "token" in stranger.stderr


def connection(gcs: str, mode: str) -> "subprocess.CompletedProcess[str]":
    """Asks Ray's control service for something, with the user's token or with none."""
    client = f"from ray._raylet import GcsClient; client = GcsClient(address={gcs!r})"
    code = f"{client}; client.internal_kv_keys(b'', None, timeout=20)"
    return subprocess.run(
        [sys.executable, "-c", f"{code}; print('inside')"],
        env={**os.environ, "RAY_AUTH_MODE": mode},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def listening(root: int) -> list[str]:
    """The addresses, in hexadecimal, at which a process and its descendants listen."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    family = {root}
    for _ in parents:
        family |= {child for child, parent in parents.items() if parent in family}
    inodes = set()
    for process in family:
        for link in Path(f"/proc/{process}/fd").glob("*"):
            try:
                inodes.add(str(link.readlink()))
            except OSError:
                continue
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()
    ]
    return [
        line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in inodes
    ]


def loopback(address: str) -> bool:
    """127.0.0.0/8, also as an IPv6 address. Words of an address are in the machine's order of bytes."""
    return address.endswith("7F") and (len(address) == 8 or address.startswith("0000000000000000FFFF0000"))


def test_loopback_addresses_are_told_from_others() -> None:
    assert loopback("0100007F")
    assert loopback("0000000000000000FFFF00000100007F")
    assert not loopback("00000000")
    assert not loopback("0" * 32)
    assert not loopback("020200C0")


def test_a_token_is_made_once_and_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    path = tmp_path / "new" / "auth_token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    access.protect_token()
    token = path.read_text()
    assert len(token) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)  # as Ray leaves it
    access.protect_token()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == token


def test_a_cluster_is_not_joined_without_a_token_unless_one_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(EngineError, match=f"Ray at {address}: needs a token, but .*none does not exist"),
            runtime.connected(address, Resources()),
        ):
            raise AssertionError("it was joined")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    access.check_token(address)
    monkeypatch.delenv("RAY_AUTH_MODE")
    (tmp_path / "none").write_text("a token")
    access.check_token(address)
