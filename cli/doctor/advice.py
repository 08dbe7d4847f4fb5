"""Which setting to change at which proxy. The response's headers name the proxy; if they do not, all are listed."""

from collections.abc import Mapping

KNOWN = ("nginx", "caddy", "cloudflare")
"""As they appear, in any case, in `Server` or `Via`."""

ADVICE: dict[str, dict[str, str]] = {
    "buffering": {
        "nginx": "nginx: `proxy_buffering off;`, `gzip off;` and `proxy_http_version 1.1;` in the location of /chat, "
        "and no `proxy_ignore_headers X-Accel-Buffering;`.",
        "caddy": "Caddy: no `response_buffers` in `reverse_proxy`; it then passes event streams on at once, and with "
        "`flush_interval -1` streams of any content type.",
        "cloudflare": "Cloudflare: no rule that changes Cache-Control, compression or buffering for this path; then "
        "look at the proxy behind it.",
        "": "Another proxy: look for response buffering, and switch it off for text/event-stream.",
    },
    "compression": {
        "nginx": "nginx: `gzip off;` in the location of /chat, or no text/event-stream and no * in `gzip_types`.",
        "caddy": "Caddy: leave text/event-stream out of the `match` of `encode`, and let Cache-Control pass.",
        "cloudflare": "Cloudflare: no compression rule for this path, and no rule that changes Cache-Control: it "
        "compresses nothing with no-transform.",
        "": "Another proxy: do not compress text/event-stream.",
    },
    "headers": {
        "nginx": "nginx: no `proxy_hide_header` for these, and no `expires` or `add_header` of the same name.",
        "caddy": "Caddy: no `header_down -...`, and no `header` that removes or replaces these.",
        "cloudflare": "Cloudflare: no transform or cache rule that changes these.",
        "": "Another proxy: let these headers pass as they are.",
    },
    "http_version": {
        "nginx": 'nginx: `proxy_http_version 1.1;` and `proxy_set_header Connection "";`.',
        "caddy": "Caddy: no `versions 1.0` in the transport of `reverse_proxy`; look at the proxy behind it.",
        "cloudflare": "Cloudflare speaks HTTP/1.1 or newer: look at the proxy behind it.",
        "": "Another proxy: speak HTTP/1.1 to the server.",
    },
    "resume": {
        "nginx": "nginx: `proxy_set_header Last-Event-ID $http_last_event_id;` in the location of /chat.",
        "caddy": "Caddy: no `header_up -Last-Event-ID`, and no `request_header` that removes it.",
        "cloudflare": "Cloudflare: no transform rule that removes Last-Event-ID.",
        "": "Another proxy: let the request's header Last-Event-ID pass.",
    },
    "disconnect": {
        "nginx": "nginx: `proxy_ignore_client_abort off;` in the location of /chat, and no `proxy_cache` there.",
        "caddy": "Caddy hangs up by itself: look at the proxy behind it.",
        "cloudflare": "Cloudflare: no cache rule for this path; then look at the proxy behind it.",
        "": "Another proxy: close the connection to the server when the client has closed its own.",
    },
    "chat": {
        "": "Pass /chat on with all its methods and headers, by the same rules as /chat/doctor.",
    },
    "idle": {
        "nginx": "nginx: `proxy_read_timeout {above};` in the location of /chat.",
        "caddy": "Caddy: no `read_timeout` in the transport of `reverse_proxy` below {above}, and no `stream_timeout`.",
        "cloudflare": "Cloudflare ends a silent connection after about 100 s: look at the proxy behind it.",
        "": "Another proxy: an idle time-out of {above} or more for /chat.",
    },
}


def proxies_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Which of the known proxies the response's headers name."""
    signed = f"{headers.get('server', '')} {headers.get('via', '')}".lower()
    return tuple(name for name in KNOWN if name in signed)


def advice(check: str, proxies: tuple[str, ...], **values: str) -> tuple[str, ...]:
    """What to change for this check: at the proxies named, or at any of the known ones if none is."""
    table = ADVICE[check]
    chosen = [table[name] for name in proxies if name in table] or list(table.values())
    return tuple(text.format(**values) for text in chosen)
