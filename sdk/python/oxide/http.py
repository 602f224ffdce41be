"""Requests to hosts that the pipeline grants.

The world needs ``import wasi:http/outgoing-handler@0.2.6;``, and ``wit/deps/`` the files of ``oxide-sdk/wasi/``.

The host connects, speaks TLS, and puts the value of a secret where its placeholder stands. Redirects are answers.
"""

from __future__ import annotations

import json as _json
import re
from dataclasses import dataclass
from typing import Any, Mapping
from urllib.parse import urlsplit

from . import _host
from .failure import Denied, Failure, HostError, LimitReached, NotFound

# The most that one call of the interface takes, and what is read at once.
_WRITE_BYTES = 4096
_READ_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 300

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_KINDS = {
    "http-request-denied": Denied,
    "destination-ip-prohibited": Denied,
    "destination-not-found": NotFound,
    "http-request-body-size": LimitReached,
    "connection-limit-reached": LimitReached,
}


@dataclass(frozen=True)
class Response:
    """What the server answered."""

    #: What was asked, without the query.
    asked: str
    #: The status, such as 200.
    status: int
    #: Names in lower case and values, in the order of the answer.
    headers: tuple[tuple[str, str], ...]
    #: Values of secrets that the plugin may not read are ``***`` in it.
    body: bytes

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body read as JSON."""
        return _json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first header of this name, whatever its case."""
        return next((value for known, value in self.headers if known == name.lower()), None)

    def check(self) -> Response:
        """Itself if the status is below 400. Else a ``Failure`` with the beginning of the body."""
        if self.status < 400:
            return self
        body = " ".join(self.text.split())[:_SHOWN_CHARACTERS]
        raise Failure(f"{self.asked} answered {self.status}" + (f": {body}" if body else ""))


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: str | bytes | None = None,
    json: Any = None,
    timeout: float | None = None,
) -> Response:
    """Sends a request and reads the answer. ``json`` is sent as a JSON body.

    ``timeout`` is how many seconds to wait for the connection, for the answer, and between two pieces of it.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{url!r} is no address: write http:// or https:// and a host")
    asked = f"{method.upper()} {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    fields = {name.lower(): value for name, value in (headers or {}).items()}
    if json is not None:
        body = _json.dumps(json)
        fields.setdefault("content-type", "application/json")
    contents = body.encode() if isinstance(body, str) else body
    if contents is not None:
        fields["content-length"] = str(len(contents))

    http = _host.interface("wasi_http")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        outgoing = http.OutgoingRequest(http.Fields.from_list([(name, fields[name].encode()) for name in fields]))
        outgoing.set_method(_method(http, method.upper()))
        outgoing.set_scheme(http.Scheme_Https() if parts.scheme == "https" else http.Scheme_Http())
        outgoing.set_authority(parts.netloc)
        outgoing.set_path_with_query(path)
    except Exception as error:
        _no_other_than_host(error)
        text = f"{asked} cannot be sent: its method, its address or a header has characters that HTTP refuses"
        raise ValueError(text) from None
    try:
        return _exchange(http, outgoing, contents, _options(http, timeout), asked)
    except Exception as error:
        _no_other_than_host(error)
        raise _host_error(asked, getattr(error, "value", None)) from None


def get(url: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None) -> Response:
    """Sends a ``GET`` request."""
    return request("GET", url, headers=headers, timeout=timeout)


def post(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: str | bytes | None = None,
    json: Any = None,
    timeout: float | None = None,
) -> Response:
    """Sends a ``POST`` request."""
    return request("POST", url, headers=headers, body=body, json=json, timeout=timeout)


def _exchange(http: Any, outgoing: Any, contents: bytes | None, options: Any, asked: str) -> Response:
    # What comes from another handle goes before it: the host holds one by the other.
    sending = outgoing.body() if contents is not None else None
    with _host.interface("outgoing_handler").handle(outgoing, options) as answer:
        if sending is not None:
            _send(http, sending, contents or b"")
        with answer.subscribe() as pollable:
            pollable.block()
        incoming = _unwrap(_unwrap(answer.get()))
    with incoming:
        with incoming.headers() as fields:
            headers = tuple((name.lower(), value.decode("utf-8", "replace")) for name, value in fields.entries())
        with incoming.consume() as body:
            with body.stream() as stream:
                return Response(asked, incoming.status(), headers, _read(stream))


def _send(http: Any, body: Any, contents: bytes) -> None:
    try:
        with body.write() as stream:
            for start in range(0, len(contents), _WRITE_BYTES):
                stream.blocking_write_and_flush(contents[start : start + _WRITE_BYTES])
    except Exception as error:
        # The server may answer before it has read all. What it answers, or why it does not, tells more.
        _no_other_than_host(error)
        return
    http.OutgoingBody.finish(body, None)


def _read(stream: Any) -> bytes:
    contents = bytearray()
    while True:
        try:
            contents += stream.blocking_read(_READ_BYTES)
        except Exception as error:
            if type(getattr(error, "value", None)).__name__ == "StreamError_Closed":
                return bytes(contents)
            raise


def _options(http: Any, timeout: float | None) -> Any:
    if timeout is None:
        return None
    nanoseconds = int(timeout * 1e9)
    options = http.RequestOptions()
    options.set_connect_timeout(nanoseconds)
    options.set_first_byte_timeout(nanoseconds)
    options.set_between_bytes_timeout(nanoseconds)
    return options


def _method(http: Any, method: str) -> Any:
    if method in _METHODS:
        return getattr(http, f"Method_{method.capitalize()}")()
    return http.Method_Other(method)


def _unwrap(result: Any) -> Any:
    if type(result).__name__ == "Err":
        raise result
    return result.value


def _no_other_than_host(error: Exception) -> None:
    if type(error).__name__ != "Err":
        raise error


def _host_error(asked: str, value: object) -> HostError:
    name = type(value).__name__.removeprefix("ErrorCode_")
    kind = re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
    if kind.startswith("stream-error"):
        return HostError(f"{asked}: the connection ended before the answer did")
    detail = getattr(value, "value", None)
    told = f" ({detail})" if isinstance(detail, str) else ""
    return _KINDS.get(kind, HostError)(f"{asked}: {kind}{told}")
