"""Runs the README's snippets against a running server, and against a port without a listener.

DATA_URL is the address of the server's data listener.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.request

from free_ports import free_ports
from seed import play, post

HERE = pathlib.Path(__file__).parent / "snippets"
CALLERS = {
    "Python": [sys.executable, HERE / "should_show_ad.py"],
    "JavaScript": ["node", HERE / "should-show-ad.mjs"],
    "Java": ["java", "--source", "17", HERE / "ShouldShowAd.java"],
}
# A long time limit, so that the cold start of a language runtime does not fail the test.
ENVIRONMENT = {**os.environ, "AD_TIMEOUT_MS": "5000"}


def listener_due_the_ad(base: str, name: str) -> str:
    """A new listener to whom the server would show the ad now; new each time, since a shown ad counts towards the cap."""
    for phone_share in range(20, -1, -1):
        customer = f"snippet-{name}-{phone_share}-{os.getpid()}"
        plays = [play(customer, index, 37 * index + 1, index < phone_share) for index in range(20)]
        post(base, "/events", "application/json", json.dumps(plays).encode())
        with urllib.request.urlopen(f"{base}/should-show-ad/{customer}?dry_run=true", timeout=10) as response:
            if json.load(response)["show"]:
                return customer
    raise AssertionError("the model would show the ad to none of the listeners made up here")


def answers(command: list, address: str, *customers: str) -> list[str]:
    done = subprocess.run([*command, address, *customers], env=ENVIRONMENT, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def main(base: str) -> int:
    failed = passed = 0
    for name, command in CALLERS.items():
        if shutil.which(command[0]) is None:
            print(f"skipped: {name}, as {command[0]} is not installed")
            continue
        try:
            due = listener_due_the_ad(base, name)
            got = answers(command, base.removeprefix("http://"), due, "a b", "nobody-at-all")
            assert got == [f"{due} true", "a b false", "nobody-at-all false"], got
            got = answers(command, f"127.0.0.1:{free_ports(1)[0]}", "48")
            assert got == ["48 false"], got
            print(f"ok: {name}")
            passed += 1
        except AssertionError as error:
            print(f"FAILED: {name}: {error}")
            failed += 1
    print(f"# pass {passed}\n# fail {failed}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(os.environ["DATA_URL"]))
