"""What ours is measured beside: nginx, a bare ASGI callable under the same uvicorn, FastAPI's RedirectResponse.

Run as a module, it serves one of the Python ones: `python -m loadtests.yardsticks asgi|fastapi PORT LINKS`.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import RedirectResponse

from .processes import SERVER_CORE, free_port, running

DESTINATION = "https://shop.example.com/products/{number}?utm_source=influencer"


def destinations(links: int) -> dict[str, str]:
    return {f"s{number:06d}": DESTINATION.format(number=number) for number in range(links)}


_NGINX = """
daemon off;
worker_processes {workers};
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
    map_hash_max_size {hash_size};
    map_hash_bucket_size 128;
    access_log {access_log};
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000000;
    map $uri $destination {{ default ""; include {directory}/links.map; }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            if ($destination = "") {{ return 404; }}
            return 302 $destination;
        }}
    }}
}}
"""


@contextmanager
def nginx(
    directory: Path, links: int, *, access_log: bool, core: int | None = SERVER_CORE, workers: int = 1
) -> Iterator[int]:
    """`return 302` from a map. Yields the port."""
    port = free_port()
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    (directory / "links.map").write_text("".join(f"/{slug} {url};\n" for slug, url in destinations(links).items()))
    config = directory / "nginx.conf"
    log = f"{directory}/access.log" if access_log else "off"
    hash_size = max(262144, 4 * links)
    config.write_text(
        _NGINX.format(directory=directory, port=port, access_log=log, workers=workers, hash_size=hash_size)
    )
    subprocess.run(["nginx", "-t", "-q", "-c", str(config)], check=True)
    with running(["nginx", "-c", str(config)], core=core, port=port):
        yield port


@contextmanager
def python(kind: str, links: int) -> Iterator[int]:
    port = free_port()
    argv = [sys.executable, "-m", "loadtests.yardsticks", kind, str(port), str(links)]
    with running(argv, core=SERVER_CORE, port=port):
        yield port


def _bare_asgi(links: dict[str, str]) -> Any:
    encoded = {b"/" + slug.encode(): url.encode() for slug, url in links.items()}

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001
        headers = [(b"location", encoded[scope["raw_path"]]), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    return app


def _fastapi(links: dict[str, str]) -> Any:
    app = FastAPI()

    @app.get("/{slug}")
    async def redirect(slug: str) -> RedirectResponse:
        if slug not in links:
            raise HTTPException(404)
        return RedirectResponse(links[slug], status_code=302)

    return app


def main() -> None:
    kind, port, links = sys.argv[1], int(sys.argv[2]), destinations(int(sys.argv[3]))
    app = _bare_asgi(links) if kind == "asgi" else _fastapi(links)
    uvicorn.run(
        app, host="127.0.0.1", port=port, http="httptools", loop="uvloop", lifespan="off", access_log=False,
        log_level="warning",
    )  # fmt: skip


if __name__ == "__main__":
    main()
