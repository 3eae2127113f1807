"""Bodies of `POST /events` that the contract and the server must judge alike: fields of one type beside another type.

DATA_URL is the address of the server's data listener; the working directory is the repository.
"""

import itertools
import json
import os
import sys
import urllib.error
import urllib.request

import jsonschema
import yaml

FIELDS = {
    "play": {"track_id": 453, "mobile": True},
    "click": {"ad": "ADV_REDUCED_1DAY"},
    "impression": {"campaign": "gold-one-day"},
    "membership": {"level": "silver"},
}
SHARED = {"event_id": "bodies-1", "customer_id": "bodies", "time": "2014-10-23T03:40:00Z"}
ENVELOPE = {"specversion": "1.0", "id": "bodies-2", "source": "/tests", "time": "2014-10-23T03:40:00Z", "subject": "bodies"}


def bodies():
    """Content type, schema and body of each case: an event of one type, alone and with a field of each other type."""
    for kind, own in FIELDS.items():
        others = itertools.chain(*(fields.items() for other, fields in FIELDS.items() if other != kind))
        for extra in [{}, *({name: value} for name, value in others), {"decision_id": "0" * 16}]:
            if kind == "impression" and "decision_id" in extra:
                continue  # whether there is such a decision is not the contract's to say
            event = {"type": kind, **SHARED, **own, **extra}
            yield "application/json", "Event", event
            yield "application/cloudevents+json", "CloudEvent", {**ENVELOPE, "type": f"com.example.{kind}", "data": event}
            data = {"type": kind, **own, **extra}
            yield "application/cloudevents+json", "CloudEvent", {**ENVELOPE, "type": "com.example.play", "data": data}
            yield "application/cloudevents+json", "CloudEvent", {**ENVELOPE, "type": f"com.example.{kind}", "data": {**own, **extra}}
        missing = {"type": kind}
        yield "application/cloudevents+json", "CloudEvent", {**ENVELOPE, "type": f"com.example.{kind}", "data": missing}


def accepted(base: str, content_type: str, body: dict) -> bool:
    request = urllib.request.Request(f"{base}/events", json.dumps(body).encode(), {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=10):
            return True
    except urllib.error.HTTPError as error:
        assert error.code == 422, f"{error.code}: {error.read()}"
        return False


def main(base: str) -> int:
    with open("openapi.yaml", encoding="utf-8") as file:
        components = yaml.safe_load(file)["components"]
    wrong = cases = 0
    for content_type, name, body in bodies():
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        by_contract = jsonschema.Draft202012Validator(schema).is_valid(body)
        by_server = accepted(base, content_type, body)
        cases += 1
        if by_contract != by_server:
            wrong += 1
            print(f"the contract says {by_contract}, the server {by_server}: {content_type} {json.dumps(body)}")
    print(f"{cases} bodies, {wrong} judged differently")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(os.environ["DATA_URL"]))
