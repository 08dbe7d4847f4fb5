"""`python -m benchmarks.contenders.serve NAME PORT`: runs one peer, on uvicorn configured as in `python main.py`."""

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
