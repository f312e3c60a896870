from collections.abc import Callable
from typing import Any

from klab.kubelet.images.behaviour import Directory, File, Port, Read

Start = Callable[..., Any]

FILES = {
    "/usr/share/nginx/html/": Directory(("index.html", "logo.png", "sub/")),
    "/usr/share/nginx/html/index.html": File(b"hello", 1.0),
    "/usr/share/nginx/html/logo.png": File(b"png", 1.0),
    "/usr/share/nginx/html/sub": Directory(()),
    "/": Directory(("etc/", "a file")),
    "/etc": Directory(("hosts",)),
    "/etc/hosts": File(b"127.0.0.1 localhost\n", 1.0),
}


def read(effect: object) -> File | Directory | None:
    assert isinstance(effect, Read)
    return FILES.get(effect.path)


def test_nginx_serves_the_index_with_its_headers(container: Start) -> None:
    driver = container("nginx:1.25.3", do=read)
    response = driver.ask("/")
    headers = dict(response.headers)
    assert (response.status, response.body) == (200, b"hello")
    assert (headers["Server"], headers["Content-Type"], headers["Last-Modified"]) == ("nginx/1.25.3", "text/html", "Thu, 01 Jan 1970 00:00:01 GMT")
    assert driver.listener().port == Port(80)


def test_nginx_knows_media_types_and_status(container: Start) -> None:
    driver = container("nginx", do=read)
    assert dict(driver.ask("/logo.png").headers)["Content-Type"] == "image/png"
    assert driver.ask("/nope").status == 404
    assert driver.ask("/sub/").status == 403
    assert driver.ask("/", method="POST").status == 405
    moved = driver.ask("/sub")
    assert (moved.status, dict(moved.headers)["Location"]) == (301, "http://10.0.0.5:8080/sub/")


def test_a_path_cannot_leave_the_root(container: Start) -> None:
    driver = container("nginx", do=read)
    assert driver.ask("/../../../../etc/hosts").status == 404
    assert {effect.path for effect in driver.effects if isinstance(effect, Read)} == {"/usr/share/nginx/html/etc/hosts"}


def test_nginx_logs_requests_in_its_format(container: Start) -> None:
    driver = container("nginx", do=read)
    driver.ask("/nope", headers={"User-Agent": "curl"})
    assert driver.effects[-1].line == '10.0.1.7 - - [14/Nov/2023:22:13:25 +0000] "GET /nope HTTP/1.1" 404 153 "-" "curl" "-"'


def test_the_error_page_is_nginx_own(container: Start) -> None:
    body = container("nginx:1.10.0", do=read).text("/nope")
    assert body.startswith("<html>\r\n<head><title>404 Not Found</title></head>\r\n")
    assert "<hr><center>nginx/1.10.0</center>" in body


def test_test_webserver_serves_files_and_listings_of_the_whole_container(container: Start) -> None:
    driver = container("agnhost", "test-webserver", "--port=8000", do=read)
    assert driver.text("/etc/hosts") == "127.0.0.1 localhost\n"
    assert '<a href="a file">a file</a>' in driver.text("/")
    assert driver.ask("/etc").status == 301
    assert driver.ask("/nope").status == 404
