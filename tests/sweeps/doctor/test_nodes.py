"""Checks of Ray and its nodes: each is seen to fail, and says what to do."""

import contextlib
import dataclasses
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from run_sweep import main
from sweeps.doctor import Check, nodes
from sweeps.engine import runtime, survey
from sweeps.engine.survey import Node
from sweeps.errors import EngineError
from sweeps.record.manifest import versions
from tests.sweeps.doctor.test_machine import result


def a_node(**changes: object) -> Node:
    from byol.data import load_data

    now = time.time()
    sound = Node(
        name="one (10.0.0.1)", versions=versions(), clock=now, before=now, after=now,
        data_digest=load_data("fashion-mnist-8k").digest,
    )  # fmt: skip
    return dataclasses.replace(sound, **changes)  # type: ignore[arg-type]


@pytest.fixture
def a_cluster(monkeypatch: pytest.MonkeyPatch) -> list[Node]:
    """A cluster that is not there, of the nodes that are put into the list."""
    there: list[Node] = []

    @contextlib.contextmanager
    def connected(address: str | None, resources: object) -> Iterator[dict[str, float]]:
        yield {"CPU": 2.0}

    monkeypatch.setattr(runtime, "connected", connected)
    monkeypatch.setattr(survey, "survey", lambda: there)
    monkeypatch.setattr(survey, "is_open", lambda: False)
    return there


def checks(address: str | None = "10.0.0.1:6379") -> dict[str, Check]:
    found = {check.name: check for check in nodes.examine_ray(address)}
    assert all(check.fine == (not check.remedy) for check in found.values())
    return found


def test_a_sound_cluster(a_cluster: list[Node]) -> None:
    a_cluster += [a_node(), a_node(name="two (10.0.0.2)")]
    found = checks()
    assert [check.name for check in found.values() if not check.fine] == []
    assert [*found] == ["ray", "access", "nodes", "versions", "clocks", "node data"]
    assert found["nodes"].detail == "2 answer: one (10.0.0.1), two (10.0.0.2)"
    assert "access" not in checks(None)


@pytest.mark.parametrize(
    ("change", "wrong", "told"),
    [
        ({"versions": {**versions(), "torch": "1.0"}}, "versions", "two has torch 1.0, and this machine "),
        ({"versions": {}}, "versions", "two has torch missing"),
        ({"clock": time.time() - 500}, "clocks", "the clock of two differs by "),
        ({"data_digest": "other"}, "node data", "two: the embedded images are not those"),
        ({"problem": "ModuleNotFoundError: No module named 'byol'"}, "nodes", "two: ModuleNotFoundError"),
    ],
)
def test_a_node_that_is_not_as_this_machine(
    a_cluster: list[Node], change: dict[str, object], wrong: str, told: str
) -> None:
    a_cluster += [a_node(), a_node(**({"name": "two"} | change))]
    found = checks()
    assert [check.name for check in found.values() if not check.fine] == [wrong]
    assert told in found[wrong].detail


def test_a_cluster_that_is_open_or_not_there(a_cluster: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not checks()["versions"].fine, "no node has answered"
    monkeypatch.setattr(survey, "is_open", lambda: True)
    assert "lets in whoever reaches its ports" in checks()["access"].detail

    def no_answer() -> bool:
        raise EngineError("no answer")

    monkeypatch.setattr(survey, "is_open", no_answer)
    assert checks()["access"].detail.endswith("ports is unknown: no answer")

    def refused(address: str | None, resources: object) -> None:
        raise EngineError(f"Ray at {address}: no cluster answers there")

    monkeypatch.setattr(runtime, "connected", refused)
    assert [*checks()] == ["ray"]
    assert checks()["ray"].detail == "Ray at 10.0.0.1:6379: no cluster answers there"
    assert "ray stop" in checks(None)["ray"].remedy


@pytest.mark.parametrize(
    ("out", "error", "told"),
    [
        ("inside\n", "", True),
        (
            "",
            "Traceback\nray.exceptions.AuthenticationError: RPC error: InvalidAuthToken: Authentication\n",
            False,
        ),
        ("", "Traceback\nray.exceptions.RpcError: failed to connect to all addresses\n", "failed to connect"),
        ("", "", "exit status 1"),
    ],
)
def test_a_cluster_is_closed_if_it_says_so(
    monkeypatch: pytest.MonkeyPatch, out: str, error: str, told: bool | str
) -> None:
    answer = SimpleNamespace(stdout=out, stderr=error, returncode=1)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="a:1"))
    if isinstance(told, bool):
        assert survey.is_open() == told
        return
    with pytest.raises(EngineError, match=f"got no answer: .*{told}"):
        survey.is_open()


def test_the_token_and_who_may_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "auth_token"
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    assert result(lambda: nodes.token(None)).fine
    assert f"chmod 600 {path}" in result(lambda: nodes.token("10.0.0.1:6379")).remedy
    path.write_text("a token")
    path.chmod(0o644)
    found = result(lambda: nodes.token(None))
    assert (found.detail, found.remedy) == (
        f"{path} can be read by others (mode 0644)", f"chmod 600 {path}",
    )  # fmt: skip
    path.chmod(0o600)
    assert result(lambda: nodes.token("10.0.0.1:6379")).fine
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert "whoever reaches Ray's ports can run code" in result(lambda: nodes.token(None)).detail
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a token")
    assert result(lambda: nodes.token(None)).detail == "in RAY_AUTH_TOKEN"


def test_the_command_prints_remedies_and_json(
    a_cluster: list[Node], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_cluster.append(a_node(data_digest="other"))
    command = ["doctor", "--out", str(tmp_path), "--storage", str(tmp_path / "store")]
    status = main(command)
    lines = capsys.readouterr().out.splitlines()
    assert status == 1
    [wrong] = [number for number, line in enumerate(lines) if line.startswith("WRONG node data")]
    assert lines[wrong + 1].strip().startswith("install on every node")
    assert main([*command, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["sound"] is False
    names = [check["name"] for check in document["checks"]]
    assert names == [
        *("python", "packages", "studies", "disk", "writing", "memory", "shared memory", "data", "torch"),
        *("GPU", "store", "store's clock", "token", "ray", "nodes", "versions", "clocks", "node data"),
    ]
    assert [check["remedy"] != "" for check in document["checks"] if not check["fine"]].count(False) == 0


@pytest.mark.ray
@pytest.mark.timeout(240)
@pytest.mark.usefixtures("one_ray")
def test_a_real_ray_answers() -> None:
    [node] = survey.survey()
    assert node.problem == ""
    assert node.versions == versions()
    assert node.before <= node.clock <= node.after
    assert not survey.is_open(), "who has no token is refused"
