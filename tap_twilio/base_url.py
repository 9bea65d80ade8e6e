"""
Checks the setting `base_url`: an origin that replaces Twilio's hosts, such as a proxy or the sandbox.

settings.py calls it; twilio/client.py puts the product's name in place of `{product}`.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from .errors import TapError

PLACEHOLDER = "product-stands-here"  # replaces {product}, since a URL cannot contain braces


def origin(url: str) -> str:
    """
    Return a checked origin. Raises TapError unless it is https, or http on a loopback address.

    It gets the credentials, so plain http must not leave the machine. `{product}` may be its path, or a part of its
    host's name.
    """
    try:
        parts = urlsplit(url.replace("{product}", PLACEHOLDER))
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
        parts = urlsplit("")
    if (
        not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+", host)
        or "@" in url
        or parts.path.strip("/") not in ("", PLACEHOLDER)
        or "?" in url
    ):
        raise TapError(
            "Setting base_url must be an origin such as https://proxy.example.com:8443, without path or user."
        )
    is_loopback = host in ("localhost", "::1") or re.fullmatch(r"127(\.[0-9]{1,3}){3}", host)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback):
        raise TapError("Setting base_url must use https: plain http is for loopback addresses only.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}".replace(PLACEHOLDER, "{product}")
