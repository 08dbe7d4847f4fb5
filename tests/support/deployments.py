"""Proxies configured by a test: many in one nginx, many in one Caddy, each on a port of its own."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.support.proxies import configured_proxy

_NGINX = """
worker_processes 1;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    proxy_set_header Host localhost;
    server {{
        listen 127.0.0.1:{ready};
        location / {{ return 200; }}
    }}
    {servers}
}}
"""
_CADDY = """
{{
    admin off
    skip_install_trust
    storage file_system {storage}
}}
http://127.0.0.1:{ready} {{
    respond 200
}}
{servers}
"""


@contextlib.contextmanager
def nginx(servers: Mapping[str, str], free_port: Callable[[], int]) -> Iterator[dict[str, str]]:
    """Run nginx with one `server` for each configuration; yields the URL of each, by name."""
    ports = {name: free_port() for name in servers}
    blocks = [f"server {{ listen 127.0.0.1:{ports[name]}; {inside} }}" for name, inside in servers.items()]
    ready = free_port()
    text = _NGINX.format(ready=ready, servers="\n".join(blocks))
    with configured_proxy("nginx", text, f"http://127.0.0.1:{ready}"):
        yield {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}


@contextlib.contextmanager
def caddy(sites: Mapping[str, str], folder: Path, free_port: Callable[[], int]) -> Iterator[dict[str, str]]:
    """Run Caddy with one site for each configuration, with `tls` as https on localhost; yields the URLs, by name."""
    addresses = {
        name: f"https://localhost:{free_port()}" if "tls " in inside else f"http://127.0.0.1:{free_port()}"
        for name, inside in sites.items()
    }
    blocks = [f"{addresses[name]} {{\n{inside}\n}}" for name, inside in sites.items()]
    ready = free_port()
    text = _CADDY.format(ready=ready, storage=folder, servers="\n".join(blocks))
    with configured_proxy("caddy", text, f"http://127.0.0.1:{ready}"):
        yield addresses


def authority(folder: Path) -> Path:
    """The certificate of Caddy's own authority."""
    return folder / "pki" / "authorities" / "local" / "root.crt"
