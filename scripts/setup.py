"""Install what a command needs, every package pinned and hashed: `python scripts/setup.py PART...`.

The Makefile and start.bat run this before each command; what is installed already takes a moment. First comes a venv
without pip. Into it goes uv, by the pip that Python carries as a wheel for ensurepip: run as it lies, it takes a third
of the time that ensurepip takes to install it. Then uv installs the rest, from the indexes that pip is configured for.
"""

import ast
import hashlib
import os
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

# Older versions of Python read as far as this, so no line of this file may have syntax that they do not know.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        "StreamForge needs Python 3.11 or newer, and this is {}.{}: install a newer one, or name one that is there, "
        "as in: make run PYTHON=python3.12".format(*sys.version_info)
    )

ROOT = Path(__file__).resolve().parent.parent
VENV = ".venv"
# Part -> its venv and its lock file.
PARTS = {
    "program": (VENV, "requirements.txt"),
    "local": (VENV, "requirements/local.txt"),
    "minilm": (VENV, "requirements/minilm.txt"),
    "chroma": (VENV, "requirements/chroma.txt"),
    "dev": (VENV, "requirements/dev.txt"),
    # In venvs of their own, so that the tests and the figures do not change with what else these bring.
    "tests-chroma": (".venv-chroma", "requirements/chroma.txt"),
    "llm": (".venv-llm", "requirements/llm.txt"),
    "bench": (".venv-bench", "requirements/bench.txt"),
}
UV = "requirements/uv.txt"

NO_WHEEL = (
    "This Python comes without the pip that would install the rest; on Debian and Ubuntu this brings it: "
    "apt-get install python3-venv"
)
FAILED = (
    "The set-up failed; the lines above say why. Type the command again to go on. How to install with pip alone is in "
    "docs/operations.md."
)

# A setting of pip -> the environment variable from which uv reads the same, and what separates its values.
SETTINGS = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "proxy": ("ALL_PROXY", " "),
}
INDEXES = {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"}


def main(parts: list[str], root: Path, folders: list[Path]) -> None:
    """Install those of the parts that are not installed, with the pip of the first folder that has its wheel.

    Exits with a sentence if that fails.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        sys.exit(f"There is no part {unknown[0]!r}; the parts are {', '.join(PARTS)}.")
    missing: dict[str, list[str]] = {}
    for venv, lock in (PARTS[part] for part in parts):
        if not Venv(root, venv).holds(lock):
            missing.setdefault(venv, []).append(lock)
    if not missing:
        return
    wheel = find_pip(folders)
    if wheel is None:
        sys.exit(NO_WHEEL)
    print(f"Installing {', '.join(lock for locks in missing.values() for lock in locks)} ...", file=sys.stderr)
    home = Venv(root, VENV)
    home.make()
    settings = install_uv(home, wheel)
    for venv, locks in missing.items():
        Venv(root, venv).install(locks, home.program("uv"), settings)


def install_uv(home: "Venv", wheel: Path) -> dict[str, str]:
    """Install uv, unless it is there, and return pip's settings.

    Asking for these takes pip seconds, most of them for loading itself: they pass while it installs uv.
    """
    pip = [home.program("python"), str(wheel / "pip")]
    with subprocess.Popen([*pip, "config", "list"], cwd=home.root, text=True, stdout=subprocess.PIPE) as asked:
        if not home.holds(UV):
            run([*pip, "install", "--quiet", "--no-deps", "--only-binary=:all:", *pinned([UV])], home.root)
            home.remember(UV)
        return pip_settings(asked.communicate()[0])


class Venv:
    """A venv of a project, and which of its lock files were installed in it."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self._folder = root, root / name

    def program(self, name: str) -> str:
        """The path of a program in it."""
        return str(self._folder / "Scripts" / f"{name}.exe" if os.name == "nt" else self._folder / "bin" / name)

    def make(self) -> None:
        """Make it, if it is not there or its Python is gone."""
        if not Path(self.program("python")).exists():
            run([sys.executable, "-m", "venv", "--without-pip", "--clear", str(self._folder)], self.root)

    def install(self, locks: list[str], uv: str, settings: Mapping[str, str]) -> None:
        """Install what the lock files pin; they are complete, so nothing else is looked for."""
        self.make()
        offline = ["--no-index"] if settings.get("no-index", "").lower() in ("1", "true", "yes", "on") else []
        command = [uv, "pip", "install", "--quiet", "--python", self.program("python"), "--no-deps", *offline]
        environment = {**os.environ, **uv_variables(settings, os.environ)}
        run([*command, "--compile-bytecode", *pinned(locks)], self.root, environment)
        for lock in locks:
            self.remember(lock)

    def holds(self, lock: str) -> bool:
        """Whether its Python is there, and the lock file is still as it was when it was installed."""
        mark = self._mark(lock)
        return Path(self.program("python")).exists() and mark.exists() and mark.read_text() == self._digest(lock)

    def remember(self, lock: str) -> None:
        """Note that the lock file is installed."""
        self._mark(lock).write_text(self._digest(lock))

    def _mark(self, lock: str) -> Path:
        return self._folder / f".installed-{Path(lock).stem}"

    def _digest(self, lock: str) -> str:
        return hashlib.sha256((self.root / lock).read_bytes()).hexdigest()


def wheel_folders() -> list[Path]:
    """Where ensurepip looks for pip's wheel: the folder of the distribution, and its own."""
    distribution = sysconfig.get_config_var("WHEEL_PKG_DIR")
    own = Path(sysconfig.get_path("stdlib")) / "ensurepip" / "_bundled"
    return [Path(distribution), own] if distribution else [own]


def find_pip(folders: list[Path]) -> Path | None:
    """The wheel of pip in the first of the folders that has one, else None."""
    return next((wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))), None)


def pip_settings(listing: str) -> dict[str, str]:
    """The settings in the output of `pip config list`: the environment's before those for `install`, then the rest."""
    found = {}
    for section in ("global.", "install.", ":env:."):
        for line in listing.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(section):
                found[name[len(section) :]] = ast.literal_eval(value)
    return found


def uv_variables(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables with which uv reaches the indexes that pip's settings name.

    Where uv has been given indexes of its own, in the environment, those of pip do not count.
    """
    found = {}
    for name, (variable, separator) in SETTINGS.items():
        if name in settings and not (variable in INDEXES and INDEXES & environment.keys()):
            found[variable] = separator.join(settings[name].split())
    bundle = environment.get("REQUESTS_CA_BUNDLE") or environment.get("CURL_CA_BUNDLE")  # pip reads these too
    if bundle:
        found.setdefault("SSL_CERT_FILE", bundle)
    if trusts_the_system():
        found["UV_SYSTEM_CERTS"] = "true"
    # As pip, uv looks for a version in every index: with a hash it does not matter which one has it.
    found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {name: value for name, value in found.items() if not (name.startswith("UV_") and name in environment)}


def trusts_the_system() -> bool:
    """Whether the system has certificates to trust; a pip of today trusts them, and uv only those it carries."""
    paths = ssl.get_default_verify_paths()
    return (
        os.name == "nt" or sys.platform == "darwin" or bool(paths.cafile or (paths.capath and os.listdir(paths.capath)))
    )


def pinned(locks: list[str]) -> list[str]:
    """The options that take packages from lock files, and none whose hash is another."""
    return ["--require-hashes", *(word for lock in locks for word in ("-r", lock))]


def run(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a command in a folder; exits with a sentence if it fails."""
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode != 0:
        sys.exit(FAILED)


if __name__ == "__main__":
    try:
        main(sys.argv[1:], ROOT, wheel_folders())
    except KeyboardInterrupt:
        sys.exit(130)
