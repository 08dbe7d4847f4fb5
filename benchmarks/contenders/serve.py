"""`python -m benchmarks.contenders.serve NAME PORT`: one peer, on the server that `python main.py` configures."""

import sys
from importlib import import_module

import uvicorn


def main(name: str, port: str) -> None:
    app = import_module(f"benchmarks.contenders.{name}").app
    uvicorn.run(
        app,
        port=int(port),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
