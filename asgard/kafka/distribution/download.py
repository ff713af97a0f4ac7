"""A file from a Maven repository, over persistent connections, trusting what this machine trusts.

Honours proxies (HTTPS_PROXY, NO_PROXY) and certificates (SSL_CERT_FILE, and the variables of pip and requests).
"""

from __future__ import annotations

import http.client
import os
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from functools import lru_cache
from pathlib import Path

from asgard.core.errors import Unreachable
from asgard.kafka.distribution import jars
from asgard.kafka.distribution.jars import Coordinate

_TRIES = 4
_TIMEOUT_S = 60
_CERTIFICATE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")


def download(coordinate: Coordinate) -> bytes:
    """A jar's bytes from the repository, with a few retries. Raises `Unreachable`."""
    address = f"{jars.repository()}/{coordinate.url_path}"
    problem: object = None
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(2.0 ** (attempt - 1))
        try:
            return _get(address)
        except urllib.error.HTTPError as error:
            problem = f"HTTP {error.code} {error.reason}"
            if error.code < 500 and error.code not in (408, 429):
                break
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            problem = getattr(error, "reason", None) or error
            if isinstance(problem, ssl.SSLCertVerificationError):
                break
    raise Unreachable(
        f"can't fetch {coordinate} from {jars.repository()}: {problem}",
        "Is the network up? Behind a proxy or a mirror: HTTPS_PROXY, SSL_CERT_FILE, ASGARD_MAVEN_REPO; offline: KAFKA_HOME.",
    )


_of_thread = threading.local()


def _get(address: str) -> bytes:
    """GET over one connection per thread, so a hundred jars don't need a hundred handshakes and name look-ups.

    Proxies, redirects and `file:` are urllib's.
    """
    parts = urllib.parse.urlsplit(address)
    proxied = parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(parts.netloc)
    if proxied or parts.scheme not in ("http", "https"):
        return _open(address)
    connection = _kept_connection(parts.scheme, parts.netloc)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        content = answer.read()
    except (http.client.HTTPException, OSError):
        connection.close()
        raise
    if 300 <= answer.status < 400:
        return _open(address)
    if answer.status != 200:
        raise urllib.error.HTTPError(address, answer.status, answer.reason, answer.headers, None)
    return content


def _kept_connection(scheme: str, netloc: str) -> http.client.HTTPConnection:
    kept: dict[tuple[str, str], http.client.HTTPConnection] = _of_thread.__dict__.setdefault("connections", {})
    if (scheme, netloc) not in kept:
        kept[scheme, netloc] = (
            http.client.HTTPSConnection(netloc, timeout=_TIMEOUT_S, context=_trust())
            if scheme == "https"
            else http.client.HTTPConnection(netloc, timeout=_TIMEOUT_S)
        )
    return kept[scheme, netloc]


def _open(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=_TIMEOUT_S, context=_trust()) as answer:
        content: bytes = answer.read()
        return content


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """What this machine trusts (SSL_CERT_FILE and the system's store), and what pip and requests are configured to
    trust."""
    context = ssl.create_default_context()
    for name in _CERTIFICATE_VARIABLES:
        path = os.environ.get(name)
        if path and Path(path).exists():
            context.load_verify_locations(**({"capath": path} if Path(path).is_dir() else {"cafile": path}))
    if not context.get_ca_certs() and not ssl.get_default_verify_paths().capath:
        import certifi

        context.load_verify_locations(certifi.where())
    return context
