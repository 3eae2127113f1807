"""Posts the data of the contract tests: two listeners of the examples, one likely to be shown the ad, and a track.

Standard library only, and a small example of posting events in two formats.
"""

import datetime
import json
import sys
import urllib.request


def post(base: str, path: str, content_type: str, body: bytes) -> dict:
    request = urllib.request.Request(base + path, data=body, headers={"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def play(customer: str, index: int, minutes_ago: int, mobile: bool) -> dict:
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes_ago)
    return {
        "type": "play",
        "event_id": f"seed-{index}",
        "customer_id": customer,
        "track_id": 1000 + index,
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "mobile": mobile,
    }


def main(base: str) -> None:
    plays = [play(customer, index, 5 * index + 1, mobile)
             for customer, mobile in (("48", True), ("532", False), ("1843", True))
             for index in range(20)]
    report = post(base, "/events", "application/json", json.dumps(plays).encode())
    print("plays:", json.dumps(report))
    tracks = b"TrackId,Title,Artist,Length\n453,A Song,A Band,214\n"
    print("tracks:", json.dumps(post(base, "/events?kind=tracks", "text/csv", tracks)))


if __name__ == "__main__":
    main(sys.argv[1])
