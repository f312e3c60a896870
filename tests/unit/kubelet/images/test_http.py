import pytest

from klab.kubelet.images.http import HttpSession, Request, Response, looks_like_http, parse_response, render, text


def answer(session: HttpSession, response: Response) -> bytes:
    return b"".join(session.answer(response))


def test_a_request_in_pieces_and_its_answer() -> None:
    session = HttpSession()
    for byte in b"POST /a?b=c HTTP/1.1\r\nHost: web\r\nX-One: 1\r\nContent-Length: 3\r\n\r\nxyz":
        assert session.next_request() is None
        session.receive(bytes([byte]))
    request = session.next_request()
    assert request == Request("POST", "/a?b=c", (("Host", "web"), ("X-One", "1"), ("Content-Length", "3")), b"xyz")
    assert (request.path, request.query, request.header("x-one")) == ("/a", "b=c", "1")
    sent = answer(session, text("hi"))
    assert sent.startswith(b"HTTP/1.1 200 OK\r\nDate: ")
    assert sent.endswith(b"\r\nContent-Length: 2\r\n\r\nhi")
    assert not session.closed


def test_requests_one_after_another_on_one_connection() -> None:
    session = HttpSession()
    session.receive(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    for path in ("/1", "/2"):
        request = session.next_request()
        assert request.path == path
        answer(session, text(path))
    assert session.next_request() is None
    assert session.idle


@pytest.mark.parametrize("head", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"])
def test_the_connection_ends_where_the_client_wants_it(head: bytes) -> None:
    session = HttpSession()
    session.receive(head)
    assert session.next_request().path == "/"
    answer(session, text("x"))
    assert session.closed


def test_a_body_of_unknown_length_is_sent_in_chunks() -> None:
    session = HttpSession()
    session.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    session.next_request()
    sent = answer(session, Response(iter([b"one", b"", b"two"])))
    assert b"transfer-encoding: chunked" in sent.lower()
    assert sent.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_head_gets_the_headers_alone() -> None:
    session = HttpSession()
    session.receive(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    session.next_request()
    sent = answer(session, text("hello"))
    assert b"Content-Length: 5" in sent
    assert sent.endswith(b"\r\n\r\n")


def test_expect_100_continue_is_answered_first() -> None:
    session = HttpSession()
    session.receive(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert session.next_request().startswith(b"HTTP/1.1 100 ")
    assert session.next_request() is None
    session.receive(b"x")
    assert session.next_request().body == b"x"


def test_nonsense_is_refused() -> None:
    session = HttpSession()
    session.receive(b"GET / HTTP/1.1\r\n\r\n")
    assert session.next_request().startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert session.closed


@pytest.mark.parametrize(
    ("data", "judgement"),
    [
        (b"", None),
        (b"GE", None),
        (b"GET / HTTP/1.1\r\n", True),
        (b"GET / HTTP/2.0\r\n", False),
        (b"hello\n", False),
        (b"PING", False),
        (b"P", None),
        (b"\x16\x03\x01", False),
        (b"GET /\n", False),
    ],
)
def test_what_looks_like_http(data: bytes, judgement: bool | None) -> None:
    assert looks_like_http(data) is judgement


def test_a_client_understands_what_a_server_says() -> None:
    session = HttpSession()
    session.receive(render(Request("GET", "/hostname", (("User-Agent", "me"),)), "web:80"))
    request = session.next_request()
    assert (request.target, request.header("host"), request.header("user-agent")) == ("/hostname", "web:80", "me")
    assert parse_response(answer(session, Response(iter([b"a", b"b"]), 201))) == (201, b"ab")
    with pytest.raises(ValueError, match="EOF"):
        parse_response(b"")
    with pytest.raises(ValueError, match="malformed"):
        parse_response(b"nonsense\r\n\r\n")


def test_an_absolute_target_has_a_path_too() -> None:
    assert Request("GET", "http://web/a%20b?c").path == "/a b"
