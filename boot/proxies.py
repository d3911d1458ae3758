"""Who the client is: what a proxy says of it counts only when the proxy's address is in PORTAL_TRUSTED_PROXIES."""

import ipaddress

#: What proxies say of the client, or of themselves.
FORWARDED_HEADERS = {
    b"cf-connecting-ip",
    b"forwarded",
    b"true-client-ip",
    b"via",
    b"x-client-ip",
    b"x-real-ip",
}
FORWARDED = (b"x-forwarded", b"x-original-", b"x-envoy-")


def apply_forwarded(scope, trusted):
    """Return `scope` with client and scheme as a trusted proxy tells them, and without any forwarded header.

    `trusted` is a list of networks. The headers are dropped in every case: what came from nobody whom we trust must
    not be believed further in, and what came from a trusted proxy has been used here. That there were any is told as
    `portal.forwarded`.
    """
    headers = [
        pair for pair in scope["headers"] if pair[0] not in FORWARDED_HEADERS and not pair[0].startswith(FORWARDED)
    ]
    if len(headers) == len(scope["headers"]):
        return scope
    changed = {"headers": headers, "portal.forwarded": True}
    if trusted and _is_trusted((scope.get("client") or ("",))[0], trusted):
        changed |= _forwarded_client(scope, trusted) | _forwarded_scheme(scope)
    return scope | changed


def _forwarded_client(scope, trusted):
    """The last address of X-Forwarded-For that is not a trusted proxy itself: those before it anyone can write."""
    client = None
    for text in reversed(_items(scope, b"x-forwarded-for")):
        address = _parse(text)
        if address is None:
            break
        client = str(address)
        if not _is_trusted(client, trusted):
            break
    return {"client": (client, 0)} if client else {}


def _forwarded_scheme(scope):
    # The last item: the one that the nearest proxy, which is trusted, has written.
    schemes = _items(scope, b"x-forwarded-proto")
    scheme = schemes[-1].lower() if schemes else ""
    return {"scheme": scheme} if scheme in ("http", "https") else {}


def _items(scope, name):
    values = b",".join(value for key, value in scope["headers"] if key == name).decode("latin-1")
    return [item.strip() for item in values.split(",") if item.strip()]


def _is_trusted(text, trusted):
    address = _parse(text)
    return address is not None and any(address in network for network in trusted)


def _parse(text):
    """Return the IP address of `1.2.3.4`, `1.2.3.4:80`, `::1` or `[::1]:80`; None for anything else."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
