import pytest

from klab.kubelet.images.catalog import contents, image_name, plan_program


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("nginx", "nginx"),
        ("nginx:1.25", "nginx"),
        ("registry.k8s.io/e2e-test-images/agnhost:2.40", "agnhost"),
        ("localhost:5000/acme/web@sha256:0123", "web"),
        ("localhost:5000/web:1@sha256:0123", "web"),
    ],
)
def test_names(reference: str, name: str) -> None:
    assert image_name(reference) == name


@pytest.mark.parametrize(
    ("image", "command", "args", "argv", "rest"),
    [
        ("nginx", (), (), None, ()),
        ("nginx", ("nginx", "-g", "daemon off;"), (), None, ("-g", "daemon off;")),
        ("nginx", ("sh", "-c", "sleep 1"), (), ("sh", "-c", "sleep 1"), ()),
        ("nginx", (), ("sleep", "1"), ("sleep", "1"), ()),
        ("agnhost:2", (), ("netexec", "--http-port=80"), None, ("netexec", "--http-port=80")),
        ("agnhost:2", ("/agnhost",), ("netexec",), None, ("netexec",)),
        ("agnhost:2", (), ("connect", "web:80"), ("/agnhost", "connect", "web:80"), ()),
        ("agnhost:2", ("/agnhost-2", "entrypoint-tester"), ("a",), ("/agnhost-2", "entrypoint-tester", "a"), ()),
        ("agnhost:2", ("sleep",), ("5",), ("sleep", "5"), ()),
        ("busybox", (), (), ("sh",), ()),
        ("busybox", (), ("sleep", "5"), ("sleep", "5"), ()),
        ("busybox", (), ("-c", "true"), ("sh", "-c", "true"), ()),
        ("busybox", ("sh",), ("-c", "true"), ("sh", "-c", "true"), ()),
        ("curlimages/curl", (), ("-s", "http://web"), ("curl", "-s", "http://web"), ()),
        ("curlimages/curl", (), ("http://web",), ("curl", "http://web"), ()),
        ("hashicorp/http-echo", (), ("-text=a",), None, ("-text=a",)),
        ("redis", (), ("redis-server", "--port", "1"), None, ("--port", "1")),
        ("redis", (), ("redis-cli", "ping"), ("redis-cli", "ping"), ()),
        ("registry.k8s.io/pause:3.9", (), (), None, ()),
        ("acme/cart", (), ("--port=80",), None, ("--port=80",)),
        ("acme/cart", (), ("sleep", "5"), ("sleep", "5"), ()),
        ("acme/cart", ("/cart",), (), ("/cart",), ()),
    ],
)
def test_what_runs(image: str, command: tuple[str, ...], args: tuple[str, ...], argv: tuple[str, ...] | None, rest: tuple[str, ...]) -> None:
    plan = plan_program(image, command, args)
    assert (plan.argv, plan.args) == (argv, rest)


def test_images_bring_files() -> None:
    assert "Welcome to nginx!" in contents("nginx:1.25")["/usr/share/nginx/html/index.html"]
    assert contents("acme/cart") == {}
