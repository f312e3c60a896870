import json

from klab.runtime.protocol import EXITED, ContainerSpec, ContainerStatus, Identity, Mount, Port, Sandbox

SPEC = ContainerSpec(
    id="uid/web/0",
    sandbox=Sandbox("/run/klab/lab/netns/web", "web", "/run/klab/lab/c", "/run/klab/lab/etc", (Mount("/a", "/b", read_only=True),)),
    image="nginx",
    identity=Identity("web", "default", "10.0.0.5", "node1", "web"),
    log_path="/run/klab/lab/log",
    argv=("sh", "-c", "true"),
    args=("a",),
    env={"A": "b"},
    working_dir="/tmp",
    ports=(Port(80), Port(53, "UDP")),
    stdin=True,
)


def test_a_spec_survives_the_wire() -> None:
    assert ContainerSpec.of(json.loads(json.dumps(SPEC.to_json()))) == SPEC


def test_a_spec_without_a_program_does_too() -> None:
    spec = ContainerSpec("i", SPEC.sandbox, "nginx", SPEC.identity, "/log")
    assert ContainerSpec.of(json.loads(json.dumps(spec.to_json()))) == spec


def test_a_status_survives_the_wire() -> None:
    status = ContainerStatus("i", EXITED, None, 137, 1.5, 2.5, "Error", "killed", unknown_image=True)
    assert ContainerStatus.of(json.loads(json.dumps(status.to_json()))) == status
