"""kennethreitz/httpbin: what was asked, written as JSON, and answers of every size, status and delay (httpbin.org)."""

from __future__ import annotations

import json
import random
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from klab.kubelet.images.behaviour import Behaviour, Context, Launch, Listener, Steps, Wait
from klab.kubelet.images.golog import canonical
from klab.kubelet.images.http import Headers, Request, Response
from klab.kubelet.images.launch import tcp_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE = 1 << 16
_MOST = 100 * 1024  # bytes of /bytes/N, as upstream limits it; /stream-bytes/N and /range/N are limited by the client's patience
_LONGEST_DELAY = 10.0
_COMMON: Headers = (("Server", "gunicorn/19.9.0"), ("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true"))
_METHODS = {"get": "GET", "post": "POST", "put": "PUT", "delete": "DELETE", "patch": "PATCH"}
_MOST_LINES = 100
_HTML = ("Content-Type", "text/html; charset=utf-8")
_OCTETS = ("Content-Type", "application/octet-stream")


def behave(launch: Launch) -> Behaviour:
    """Serve httpbin's endpoints; go-httpbin listens on 8080, httpbin on 80."""
    ports = tcp_ports(launch, 8080 if "go-httpbin" in launch.image else 80)
    return Behaviour(tuple(Listener(port, http=respond) for port in ports))


def respond(request: Request, context: Context) -> Steps[Response]:
    """Answer at the endpoint that the path names."""
    words = request.path.strip("/").split("/")
    argument = words[1] if len(words) > 1 else ""
    if words[0] == "delay":
        yield Wait(min(float(_number(argument)), _LONGEST_DELAY))
        return _json(_describe(request, context))
    return _answer(request, context, words[0], argument)


def _answer(request: Request, context: Context, word: str, argument: str) -> Response:
    """Give the answer of an endpoint; `argument` is the word after its name."""
    if (method := _METHODS.get(word)) is not None:
        allowed = request.method == method or (method == "GET" and request.method == "HEAD")
        return _json(_describe(request, context)) if allowed else _error(405, "Method Not Allowed")
    endpoint = _ENDPOINTS.get(word)
    return endpoint(request, context, argument) if endpoint else _error(404, "Not Found")


def _page(_request: Request, _context: Context, _argument: str) -> Response:
    return Response(b"<!DOCTYPE html>\n<title>httpbin.org</title>\n<h1>httpbin.org</h1>\n", headers=(*_COMMON, _HTML))


def _status(_request: Request, _context: Context, argument: str) -> Response:
    codes = [int(code) for code in argument.split(",") if code.isdecimal()]
    return Response(b"", random.choice(codes), (*_COMMON, _HTML)) if codes else _error(400, "Invalid status code")  # noqa: S311 (noise, no secrets)


def _bytes(_request: Request, _context: Context, argument: str) -> Response:
    return Response(random.randbytes(min(_number(argument), _MOST)), headers=(*_COMMON, _OCTETS))  # noqa: S311 (noise)


def _stream_bytes(_request: Request, _context: Context, argument: str) -> Response:
    return Response(_pieces(_number(argument)), headers=(*_COMMON, _OCTETS))


def _range(_request: Request, _context: Context, argument: str) -> Response:
    return Response(_pieces(_number(argument)), headers=(*_COMMON, _OCTETS, ("Content-Length", str(_number(argument)))))


def _stream(request: Request, context: Context, argument: str) -> Response:
    about = _describe(request, context)
    lines = (json.dumps({**about, "id": number}).encode() + b"\n" for number in range(min(_number(argument), _MOST_LINES)))
    return Response(lines, headers=(*_COMMON, ("Content-Type", "application/json")))


def _redirect_on(_request: Request, _context: Context, argument: str) -> Response:
    left = _number(argument)
    return _redirect(f"/relative-redirect/{left - 1}" if left > 1 else "/get")


def _redirect_to(request: Request, _context: Context, _argument: str) -> Response:
    return _redirect(request.fields.get("url", "/get"), _number(request.fields.get("status_code", "302")))


_ENDPOINTS: dict[str, Callable[[Request, Context, str], Response]] = {
    "": _page,
    "anything": lambda request, context, _: _json({**_describe(request, context), "method": request.method}),
    "bytes": _bytes,
    "headers": lambda request, _, __: _json({"headers": _headers(request)}),
    "hostname": lambda _, context, __: _json({"hostname": context.hostname}),  # go-httpbin's
    "ip": lambda request, context, _: _json({"origin": _origin(request, context)}),
    "range": _range,
    "redirect": _redirect_on,
    "redirect-to": _redirect_to,
    "relative-redirect": _redirect_on,
    "response-headers": lambda request, _, __: _json(request.fields, tuple(request.fields.items())),
    "status": _status,
    "stream": _stream,
    "stream-bytes": _stream_bytes,
    "user-agent": lambda request, _, __: _json({"user-agent": request.header("user-agent")}),
    "uuid": lambda _, __, ___: _json({"uuid": str(uuid.uuid4())}),
}


def _describe(request: Request, context: Context) -> dict[str, Any]:
    """Give what httpbin tells of a request."""
    host = request.header("x-forwarded-host") or request.header("host")
    scheme = request.header("x-forwarded-proto", "http")
    about: dict[str, Any] = {
        "args": dict(parse_qsl(request.query or "", keep_blank_values=True)),
        "headers": _headers(request),
        "origin": _origin(request, context),
        "url": f"{scheme}://{host}{request.target}",
    }
    if request.method in {"GET", "HEAD"} and not request.path.startswith("/anything"):
        return about
    form = request.header("content-type").startswith("application/x-www-form-urlencoded")
    data = request.body.decode(errors="replace")
    try:
        value = None if form else json.loads(data)
    except ValueError:
        value = None
    return {**about, "data": "" if form else data, "files": {}, "form": dict(parse_qsl(data)) if form else {}, "json": value}


def _origin(request: Request, context: Context) -> str:
    return request.header("x-forwarded-for") or context.client.host


def _headers(request: Request) -> dict[str, str]:
    return {canonical(name): request.header(name) for name, _ in request.headers}


def _pieces(size: int) -> Iterator[bytes]:
    block = random.randbytes(_PIECE)  # noqa: S311 (noise)
    return (block[: min(_PIECE, size - start)] for start in range(0, size, _PIECE))


def _number(word: str) -> int:
    return int(word) if word.isdecimal() else 0


def _json(value: Any, headers: Headers = ()) -> Response:
    body = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return Response(body.encode(), headers=(*_COMMON, ("Content-Type", "application/json"), *headers))


def _redirect(location: str, status: int = 302) -> Response:
    return Response(b"", status, (*_COMMON, _HTML, ("Location", location)))


def _error(status: int, title: str) -> Response:
    body = f'<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n<title>{status} {title}</title>\n<h1>{title}</h1>\n'
    return Response(body.encode(), status, (*_COMMON, ("Content-Type", "text/html")))
