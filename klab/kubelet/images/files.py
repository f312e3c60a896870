"""Web servers that serve files: nginx, Apache httpd, and Go's http.FileServer of `agnhost test-webserver`."""

from __future__ import annotations

import html
import posixpath
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from klab.kubelet.images.behaviour import Behaviour, Context, Directory, File, Launch, Listener, Log, Port, Read, Steps
from klab.kubelet.images.http import Headers, Request, Response, fail
from klab.kubelet.images.launch import Flags, tcp_ports

if TYPE_CHECKING:
    from collections.abc import Callable

NGINX_ROOT = "/usr/share/nginx/html"
HTTPD_ROOT = "/usr/local/apache2/htdocs"
NGINX_PAGE = """<!DOCTYPE html>
<html>
<head>
<title>Welcome to nginx!</title>
<style>
html { color-scheme: light dark; }
body { width: 35em; margin: 0 auto;
font-family: Tahoma, Verdana, Arial, sans-serif; }
</style>
</head>
<body>
<h1>Welcome to nginx!</h1>
<p>If you see this page, the nginx web server is successfully installed and
working. Further configuration is required.</p>

<p>For online documentation and support please refer to
<a href="http://nginx.org/">nginx.org</a>.<br/>
Commercial support is available at
<a href="http://nginx.com/">nginx.com</a>.</p>

<p><em>Thank you for using nginx.</em></p>
</body>
</html>
"""
HTTPD_PAGE = "<html><body><h1>It works!</h1></body></html>\n"
_TYPES = {
    "html": "text/html",
    "htm": "text/html",
    "css": "text/css",
    "txt": "text/plain",
    "xml": "text/xml",
    "js": "application/javascript",
    "json": "application/json",
    "png": "image/png",
    "gif": "image/gif",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "svg": "image/svg+xml",
    "ico": "image/x-icon",
    "pdf": "application/pdf",
    "wasm": "application/wasm",
}
_OCTETS = "application/octet-stream"
_VERSION = re.compile(r":(\d+\.\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Site:
    """How a server of files speaks: its name, where its files are, its error page, the media type of its pages and of files it cannot name."""

    server: str
    root: str
    error_page: Callable[[Site, Request, int], str]
    html_type: str = "text/html"
    other_type: str = _OCTETS

    def respond(self, request: Request, context: Context) -> Steps[Response]:
        """Serve the file that the path names, and log as the common log format has it."""
        response = yield from self._answer(request)
        size = len(response.body) if isinstance(response.body, bytes) else 0
        stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(context.now))
        agent, referer = request.header("user-agent", "-"), request.header("referer", "-")
        line = f'{context.client.host} - - [{stamp}] "{request.method} {request.target} HTTP/{request.version}" {response.status} {size}'
        yield Log(f'{line} "{referer}" "{agent}" "{request.header("x-forwarded-for", "-")}"' if self.server.startswith("nginx") else line)
        return Response(response.body, response.status, (("Server", self.server), *response.headers))

    def _answer(self, request: Request) -> Steps[Response]:
        if request.method not in {"GET", "HEAD"}:
            return self._fail(request, 405)
        path = posixpath.normpath("/" + request.path.lstrip("/"))
        found = yield Read(self.root.rstrip("/") + path)
        if isinstance(found, Directory):
            if not request.path.endswith("/"):
                return self._fail(request, 301, (("Location", f"http://{request.header('host')}{request.raw_path}/"),))
            path = path.rstrip("/") + "/index.html"
            found = (yield Read(self.root.rstrip("/") + path)) or 403
        elif request.path.endswith("/"):
            found = None
        return self._file(path, found) if isinstance(found, File) else self._fail(request, found or 404)

    def _file(self, path: str, file: File) -> Response:
        changed = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(file.changed))
        tag = f'"{int(file.changed):x}-{len(file.content):x}"'
        kind = content_type(path, self.other_type)
        kind = self.html_type if kind == "text/html" else kind
        return Response(file.content, 200, (("Content-Type", kind), ("Last-Modified", changed), ("ETag", tag), ("Accept-Ranges", "bytes")))

    def _fail(self, request: Request, status: int, headers: Headers = ()) -> Response:
        return Response(self.error_page(self, request, status).encode(), status, (("Content-Type", self.html_type), *headers))


def nginx(launch: Launch) -> Behaviour:
    """Serve /usr/share/nginx/html as nginx does out of the box."""
    version = _VERSION.search(launch.image)
    site = Site(f"nginx/{version.group(1) if version else '1.29.1'}", NGINX_ROOT, _nginx_error)
    port = 8080 if "unprivileged" in launch.image else 80
    return Behaviour(tuple(Listener(port, http=site.respond) for port in tcp_ports(launch, port)))


def httpd(launch: Launch) -> Behaviour:
    """Serve /usr/local/apache2/htdocs as Apache httpd does out of the box."""
    version = _VERSION.search(launch.image)
    site = Site(f"Apache/{version.group(1) if version else '2.4.65'} (Unix)", HTTPD_ROOT, _httpd_error)
    return Behaviour(tuple(Listener(port, http=site.respond) for port in tcp_ports(launch, 80)))


def test_webserver(launch: Launch) -> Behaviour:
    """Serve the container's / as `agnhost test-webserver`."""
    port = Flags.of(launch.args).number("port", 80)
    return Behaviour((Listener(Port(port), http=_go_file_server),))


def content_type(path: str, other: str = _OCTETS) -> str:
    """Give the media type that a file's name tells."""
    return _TYPES.get(path.rpartition(".")[2].lower(), other) if "." in posixpath.basename(path) else other


def _nginx_error(site: Site, _: Request, status: int) -> str:
    title = f"{status} {_PHRASES[status]}"
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        f"<hr><center>{site.server}</center>\r\n</body>\r\n</html>\r\n"
    )


def _httpd_error(_: Site, request: Request, status: int) -> str:
    phrase = _PHRASES[status].replace("Not Allowed", "Method Not Allowed")
    words = {
        301: "The document has moved.",
        403: "You don't have permission to access this resource.",
        404: "The requested URL was not found on this server.",
        405: f"The requested method {html.escape(request.method)} is not allowed for this URL.",
    }[status]
    return (
        '<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n<html><head>\n'
        f"<title>{status} {phrase}</title>\n</head><body>\n<h1>{phrase}</h1>\n<p>{words}</p>\n</body></html>\n"
    )


_PHRASES = {301: "Moved Permanently", 403: "Forbidden", 404: "Not Found", 405: "Not Allowed"}


def _go_file_server(request: Request, _: Context) -> Steps[Response]:
    """Answer as Go's http.FileServer of the root directory: files, index.html, and listings of directories."""
    path = posixpath.normpath("/" + request.path.lstrip("/"))
    found = yield Read(path)
    if isinstance(found, Directory) and not request.path.endswith("/"):
        return Response(b"", 301, (("Location", posixpath.basename(path) + "/"),))
    if isinstance(found, Directory):
        index = yield Read(path.rstrip("/") + "/index.html")
        if not isinstance(index, File):
            lines = "".join(f'<a href="{html.escape(entry)}">{html.escape(entry)}</a>\n' for entry in found.entries)
            return Response(f'<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n{lines}</pre>\n'.encode(), 200, _GO_HTML)
        path, found = "index.html", index
    if not isinstance(found, File):
        return fail("404 page not found", 404)
    kind = content_type(path, "text/plain; charset=utf-8" if b"\0" not in found.content[:512] else _OCTETS)
    changed = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(found.changed))
    return Response(found.content, 200, (("Content-Type", kind), ("Last-Modified", changed), ("Accept-Ranges", "bytes")))


_GO_HTML: Headers = (("Content-Type", "text/html; charset=utf-8"),)
