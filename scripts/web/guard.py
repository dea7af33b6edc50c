"""Who may ask: pages that this server gave to a browser that was shown the token.

Four things stand between a run and a page of somebody else's in the same browser:

- the name of the host, for a name of theirs may lead to 127.0.0.1 as well (DNS rebinding);
- the origin of every write, which the browser says;
- a cookie, which the token in the printed address is exchanged for. Other users of this machine
  have neither. A cookie does not know ports, so that its name has ours;
- a content security policy: whatever text gets into a page, it runs and loads nothing.
"""

import hmac
import re
import secrets
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?")  # any port: ssh may bring another one
READS = ("GET", "HEAD")
MAX_BODY = 64 << 20  # bytes; what the largest file of records may have
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
NO_TOKEN = (
    "This page belongs to `selfplay web`. Open the address that it printed in the terminal: "
    "it ends with a token, which your browser keeps until the server ends."
)


class Guard:
    """Lets through what may pass, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.token = app, token
        self.cookie = secrets.token_urlsafe(32)  # not the token, which a history may keep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or refuses it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_first = self._is_token(scope)
        objection = self._objection(scope, headers, is_first)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answer[name] = value
                if is_first and not objection:
                    flags = "HttpOnly; SameSite=Strict; Path=/"
                    answer.append("Set-Cookie", f"{self._name(scope)}={self.cookie}; {flags}")
            await send(message)

        await (objection or self.app)(scope, receive, sending)

    def _objection(self, scope: Scope, headers: Headers, is_first: bool) -> Response | None:
        host = headers.get("host", "")
        if not HOST.fullmatch(host):
            return _refused(400, f"this server is not {host[:100]!r}: use 127.0.0.1")
        if not is_first and not self._has_cookie(scope, headers):
            return PlainTextResponse(NO_TOKEN, 401)
        if scope["method"] in READS:
            # Another port of this machine is the same site to a browser, and gets our cookie.
            if scope["path"].startswith("/api/") and _site(headers) not in ("same-origin", "none"):
                return _refused(403, "only pages of this server may read from it")
            return None
        if headers.getlist("origin") != [f"http://{host}"]:
            origin = headers.get("origin", "nowhere")[:100]
            return _refused(403, f"a write from {origin!r}: only pages of this server may ask")
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _refused(415, "a request's body must be application/json")
        length = headers.get("content-length", "")
        is_counted = length.isascii() and length.isdecimal() and len(length) < 12
        if "transfer-encoding" in headers or not is_counted or int(length) > MAX_BODY:
            return _refused(413, f"a request's body has at most {MAX_BODY >> 20} MiB")
        return None

    def _is_token(self, scope: Scope) -> bool:
        """Whether this is the address that was printed."""
        if scope["path"] != "/" or scope["method"] not in READS:
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _has_cookie(self, scope: Scope, headers: Headers) -> bool:
        given = cookie_parser(headers.get("cookie", "")).get(self._name(scope), "")
        return hmac.compare_digest(given.encode(), self.cookie.encode())

    @staticmethod
    def _name(scope: Scope) -> str:
        return f"selfplay-{scope['server'][1]}"


def _site(headers: Headers) -> str:
    """Returns where a browser says that a request comes from; older ones do not say."""
    return headers.get("sec-fetch-site", "none")


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)
