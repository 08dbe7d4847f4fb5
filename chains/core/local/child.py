"""Run as a program by `LocalServer` and the demo: serve one GGUF file over HTTP until standard input ends."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":  # run with -I, which leaves the program's own folder out
    sys.path.insert(0, str(Path(__file__).parents[3]))

from children.confinement import confine, python_files

# The model file's own template has no tools: it would drop them silently.
TEMPLATE = Path(__file__).with_name("chat_template.jinja")


_ABOUT_PROCESSORS = ("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system")
"""Where llama.cpp looks for what the machine can do."""
_GRAPHICS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dri")
"""With one of these the work may need devices and calls that a confined process does not have."""


def main(path: str, name: str) -> None:
    """Serve the model in `path` as `name`. The key comes from the environment, so `ps` does not show it."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # a free one
    params.api_keys = [os.environ.pop("STREAMFORGE_LOCAL_KEY")]
    params.n_parallel = 2
    params.n_ctx = 8192 * params.n_parallel
    # One thread: with two, the barriers between them collapse as soon as the machine has other work.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.use_jinja = True
    params.chat_template = TEMPLATE.read_text()
    params.ui = False
    params.cors_origins = "http://127.0.0.1"
    if not any(os.path.exists(device) for device in _GRAPHICS):
        confine([*python_files(), path, *_ABOUT_PROCESSORS], threads=True, listens=True)
    server = xllamacpp.Server(params)
    print(f"READY {server.listening_address}", flush=True)
    sys.stdin.buffer.read()  # until the parent closes it or dies
    os._exit(0)  # the server's own threads would keep the process alive


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
