"""Which requests are answered, and what a browser may do with the answers.

Without a token there is no log-in, so pages from elsewhere that are open in the same browser must
not reach the server. They may send requests, but the browser says where these come from (`Origin`);
they could make a name of theirs lead to this machine (DNS rebinding), but then it is in the request
(`Host`). With a token, which no page from elsewhere knows, any name will do: that of a proxy too.
"""

import hmac
import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

HEADERS = {
    # The page may load nothing from elsewhere and be shown within no other.
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

# The page, which holds nothing but its code, and what says whether the server is there.
WITHOUT_TOKEN = ("/", "/docs", "/openapi.json", "/health")


def refusal(path: str, headers: Headers, token: str | None) -> tuple[int, str] | None:
    """Status and detail of the answer to a request that is refused; None for one that is not.

    Parameters
    ----------
    token : that requests have to bring, None where they need none
    """
    if token is None:
        problem = objection(headers)
        return (403, problem) if problem else None
    if path in WITHOUT_TOKEN or path.startswith("/static/"):
        return None
    given = headers.get("authorization", "")
    if hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return None
    return (
        401,
        "a token is needed: open the page as /#token=TOKEN, or send Authorization: Bearer TOKEN",
    )


def objection(headers: Headers) -> str | None:
    """Why a request with these headers is not answered; None if it is."""
    host = headers.get("host", "")
    if not _is_this_machine(host):
        return "ask for this machine by its address, localhost or its own name"
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return "pages from elsewhere are not answered"
    return None


def _is_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    own = socket.gethostname().lower()
    return name in ("localhost", own, f"{own}.local") or _is_address(name)


def _is_address(name: str) -> bool:
    """Whether it is an IP address: nobody can make one lead elsewhere."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
