"""What the bench runs: installed if missing, built if stale."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from suite.failure import Failure

ROOT = Path(__file__).resolve().parent.parent.parent
BENCHES = ROOT / "benches"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
TOOLS = TARGET / "tools"
# Everything that the suite makes.
WORK = TARGET / "bench"
PROGRAMS = WORK / "bin"

OHA_VERSION = "1.16.0"
# The package that brings each program.
APT_PACKAGES = {
    "wrk": "wrk",
    "redis-server": "redis-server",
    "redis-benchmark": "redis-tools",
    "gcc": "gcc",
    "taskset": "util-linux",
    "strace": "strace",
    "valgrind": "valgrind",
}
# oha links the system's OpenSSL; a TLS library built from source would take longer than all the rest of it.
OHA_PACKAGES = {"pkg-config": "pkg-config", "openssl.pc": "libssl-dev"}
# apt-get may wait 300 s for another one.
APT_S, BUILD_S, OHA_S = 600, 1200, 1800


def say(text):
    """Progress goes to stderr; stdout is the table."""
    print(text, file=sys.stderr, flush=True)


def command(parts, timeout_s, **more):
    """Runs a build or install step; its output shows only when it fails."""
    parts = [str(part) for part in parts]
    try:
        done = subprocess.run(
            parts, timeout=timeout_s, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, cwd=ROOT, **more
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"still running after {timeout_s} s: {' '.join(parts)}") from None
    if done.returncode != 0:
        raise Failure(f"status {done.returncode}: {' '.join(parts)}\n{done.stdout[-4000:]}")
    return done.stdout


def install_missing(packages, is_there):
    """Installs by name the packages whose thing is not there."""
    missing = sorted({package for thing, package in packages.items() if not is_there(thing)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Failure(f"install {', '.join(missing)}: there is no apt-get here to do it with")
    say(f"installing {', '.join(missing)}")
    apt_get = ROOT / "scripts/apt-get"
    command([apt_get, "update"], APT_S)
    command([apt_get, "install", "--yes", "--no-install-recommends", *missing], APT_S)


def install_packages():
    """The generators, Redis, gcc, and what counts."""
    install_missing(APT_PACKAGES, shutil.which)


def oha_package_is_there(thing):
    """A program, or what pkg-config knows under the name of a .pc file."""
    if not thing.endswith(".pc"):
        return shutil.which(thing)
    probe = ["pkg-config", "--exists", thing.removesuffix(".pc")]
    return shutil.which("pkg-config") and subprocess.run(probe, check=False).returncode == 0


def install_oha():
    """The open-loop generator, with what runs per request built at full speed and the rest as fast as it compiles."""
    oha = TOOLS / "bin" / "oha"
    if oha.exists() and OHA_VERSION in command([oha, "--version"], 10):
        return oha
    install_missing(OHA_PACKAGES, oha_package_is_there)
    say(f"building oha {OHA_VERSION} (once)")
    # Without one of its TLS features this version does not compile.
    package = ["oha", "--version", OHA_VERSION, "--locked", "--no-default-features", "--features", "native-tls"]
    command(["cargo", "install", *package, "--config", BENCHES / "http/oha.toml", "--root", TOOLS], OHA_S)
    return oha


def build_upbeat():
    """The release build of this working tree."""
    say("building upbeat")
    lines = command(
        ["cargo", "build", "--release", "--bin", "upbeat", "--message-format", "json-render-diagnostics"], BUILD_S
    ).splitlines()
    messages = (json.loads(line) for line in lines if line.startswith("{"))
    programs = [message["executable"] for message in messages if message.get("executable")]
    return Path(programs[-1])


def build_engine_benches():
    """The folder of the programs that measure the engine without HTTP."""
    say("building the engine's benches")
    manifest = BENCHES / "engine/Cargo.toml"
    build = ["cargo", "build", "--release", "--locked", "--manifest-path", manifest, "--target-dir", TARGET / "benches"]
    command([*build, "--bins"], BUILD_S)
    return TARGET / "benches/release"


def build_c_programs():
    """floor, openloop, hostile and measure, into PROGRAMS."""
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    for source in [*(BENCHES / "http").glob("*.c"), *(BENCHES / "suite").glob("*.c")]:
        command(["gcc", *flags, "-o", PROGRAMS / source.stem, source], 60)


def build_preload(name):
    """A library that is preloaded into a server, from benches/suite/preload."""
    library = PROGRAMS / f"{name}.so"
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    command(["gcc", *flags, "-o", library, BENCHES / f"suite/preload/{name}.c", "-ldl"], 60)
    return library


def python_with_peers():
    """The Python that has polars, DuckDB and matplotlib, in a virtual environment of the suite's own."""
    wanted = BENCHES / "suite/requirements.txt"
    folder = TARGET / "bench-venv"
    installed = folder / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted.read_text():
        say("installing polars, DuckDB and matplotlib")
        shutil.rmtree(folder, ignore_errors=True)
        command([sys.executable, "-m", "venv", folder], APT_S)
        command([folder / "bin/pip", "install", "--quiet", "--requirement", wanted], APT_S)
        installed.write_text(wanted.read_text())
    return folder / "bin/python"


def about_machine():
    """Cores and processor, as the table names them."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} × {model}, Linux {os.uname().release}"


def about_commit():
    """The commit, and whether the working tree differs from it."""
    try:
        commit = command(["git", "rev-parse", "--short", "HEAD"], 10).strip()
        changed = command(["git", "status", "--porcelain", "--untracked-files=no"], 10).strip()
    except (Failure, OSError):
        return "no git"
    return commit + (" with local changes" if changed else "")
