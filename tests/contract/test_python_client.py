"""A Python client generated from openapi.yaml by openapi-python-client, used against a running server.

DATA_URL and ADMIN_URL are the addresses of its listeners; the working directory is the repository.
"""

import datetime
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
BUILD = HERE / "build" / "python"


def generate() -> None:
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.parent.mkdir(exist_ok=True)
    command = ["openapi-python-client", "generate", "--path", "openapi.yaml", "--output-path", str(BUILD)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"openapi-python-client failed:\n{result.stdout}{result.stderr}")
    sys.path.insert(0, str(BUILD))


def ago(minutes: int) -> str:
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes)
    return moment.isoformat(timespec="milliseconds")


def main() -> None:
    generate()
    from upbeat_client import Client
    from upbeat_client.api.customers import delete_customer, get_customer
    from upbeat_client.api.decisions import decide, decide_many
    from upbeat_client.api.events import post_events
    from upbeat_client.api.models import list_models
    from upbeat_client.models import Click, DecisionsRequest, Level, Membership, Play, Reason

    data = Client(base_url=os.environ["DATA_URL"])
    admin = Client(base_url=os.environ["ADMIN_URL"])
    customer = f"py-{os.getpid()}"

    answer = decide.sync(f"nobody-{os.getpid()}", client=data, dry_run=True)
    assert (answer.show, answer.reason, answer.score) == (False, Reason.UNKNOWN_CUSTOMER, None), answer

    plays = [
        Play("play", f"py-{index}", customer, 453 + index, ago(4 * index + 4), mobile=True) for index in range(12)
    ]
    report = post_events.sync(client=data, body=plays)
    assert (report.accepted, report.duplicates, report.rejected) == (12, 0, []), report
    report = post_events.sync(client=data, body=plays[0])
    assert (report.accepted, report.duplicates) == (0, 1), report
    answer = decide.sync(customer, client=data, dry_run=True)
    assert answer.reason in (Reason.LIKELY_TO_CLICK, Reason.UNLIKELY_TO_CLICK), answer

    gold = Membership("membership", "py-m", customer, Level.GOLD, ago(1))
    report = post_events.sync(client=data, body=[gold])
    assert report.accepted == 1, report
    decisions = decide_many.sync(client=data, body=DecisionsRequest(customers=[customer, 4_800_000])).decisions
    assert [answer.reason for answer in decisions] == [Reason.ALREADY_GOLD, Reason.UNKNOWN_CUSTOMER], decisions

    leap_day = Click("click", 1, customer, "ADV_REDUCED_1DAY", "2014-02-29T00:00:00")
    refused = post_events.sync_detailed(client=data, body=leap_day)
    assert refused.status_code == 422 and refused.parsed.type_ == "/problems/invalid-event", refused

    assert len(get_customer.sync(customer, client=admin).plays) == 12
    assert list_models.sync(client=admin)[0].role
    assert delete_customer.sync_detailed(customer, client=admin).status_code == 204
    print("events one by one and in lists, decisions, profiles and problems are typed, and as the server has them")


if __name__ == "__main__":
    main()
