"""Upbeat's server, as a process of its own."""

import contextlib
import re
import shutil
import signal
import subprocess
import time

START_S, STOP_S = 120, 120


class Failed(Exception):
    """What stops the bench, in a sentence."""


@contextlib.contextmanager
def server(binary, folder, data_dir, campaigns, config=""):
    """`upbeat serve` on free ports; gives both URLs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "campaigns.toml").write_text(campaigns)
    (folder / "upbeat.toml").write_text(config)
    log = folder / "server.log"
    command = [
        binary, "serve", "--config", folder / "upbeat.toml", "--clock", "event", "--data-dir", data_dir, "--workers", "1",
        "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
    ]
    with open(log, "wb") as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=subprocess.STDOUT)
    try:
        yield address(process, log, "data"), address(process, log, "admin")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def address(process, log, name):
    """The address that the server says it listens on."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        text = log.read_text()
        found = re.search(rf"{name}\W+(http://127\.0\.0\.1:\d+)", text)
        if found:
            return found.group(1)
        if process.poll() is not None:
            raise Failed(f"the server ended:\n{text[-4000:]}")
        time.sleep(0.02)
    raise Failed(f"the server does not say where it listens:\n{log.read_text()[-4000:]}")


def copied(data_dir, target):
    """A copy of what a stopped server keeps: with its keys, so that holdouts are the same."""
    shutil.copytree(data_dir, target)
    return target
