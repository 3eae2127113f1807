"""Rules of Upbeat's contract that JSON Schema cannot express, for schemathesis.

Three kinds of rules, each as narrow as it can be made:

* how bodies that are not JSON are written, and how `Content-Encoding` compresses any of them;
* rules between parts of a request (`kind` goes with `text/csv`, a date must exist, ...), applied to requests that are
  meant to be valid;
* answers that are right although the status alone looks wrong (bad rows of a list come back in `rejected`, under 200).

And one check of our own: a report accounts for every row that was sent.
"""

from __future__ import annotations

import datetime
import gzip
import json
import pathlib
import random
import re

import schemathesis
import zstandard
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree

EVENTS = "/events"
CSV = "text/csv"
NDJSON = "application/x-ndjson"
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_EVENTS = "application/cloudevents-batch+json"
TOML = "application/toml"
CAMPAIGNS = "/campaigns"
MODEL = "/models/{model}"
JOB = "/retrain/{job}"
# A file that a server of the default window takes: what makes a model file one is not for a schema to say.
MODEL_FILE = json.loads((pathlib.Path(__file__).parents[2] / "model" / "default.json").read_text())
REPORT = "/campaigns/{campaign}/report"
JSON_TYPES = ("application/json", CLOUD_EVENT, CLOUD_EVENTS)
ID = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._:-]{1,64}\Z", re.ASCII)
TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})([Tt ].*)\Z", re.ASCII | re.DOTALL)

# --- How bodies are written --------------------------------------------------------------------------------------


def _compressed(ctx, body: bytes) -> bytes:
    encoding = (ctx.case.headers or {}).get("Content-Encoding")
    if encoding == "gzip":
        return gzip.compress(body, mtime=0)
    if encoding == "zstd":
        return zstandard.compress(body)
    return body


@schemathesis.serializer(*JSON_TYPES)
def write_json(ctx, value):
    if not isinstance(value, bytes):
        value = json.dumps(value, ensure_ascii=False, default=lambda raw: raw.decode("latin-1")).encode()
    return _compressed(ctx, value)


@schemathesis.serializer(CSV, NDJSON, TOML)
def write_text(ctx, value):
    # Text is always "a string"; a value of another type is written as a bad row.
    text = value if isinstance(value, (str, bytes)) else json.dumps(value, default=str)
    return _compressed(ctx, text.encode() if isinstance(text, str) else text)


@schemathesis.hook
def filter_case(context, case) -> bool:
    # Paths in which these stand for an id that is none are other paths before they reach the server (RFC 3986, section
    # 5.2.4).
    return not any(value in (".", "..") for value in (case.path_parameters or {}).values())


# --- Rules between parts of a request ----------------------------------------------------------------------------


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None:
        return
    if case.media_type in JSON_TYPES and not case.meta.is_negative_at(ParameterLocation.BODY):
        case.body = _in_digits(case.body)
    if case.path == CAMPAIGNS and case.method == "PUT" and not case.meta.is_negative_at(ParameterLocation.BODY):
        case.body = _campaigns(case.body)
    if case.path == CAMPAIGNS and case.method == "PUT" and not case.meta.is_negative_at(ParameterLocation.HEADER):
        # A tag that is made up is another version's.
        (case.headers or {}).pop("If-Match", None)
    if case.path == MODEL and case.method == "PUT" and not case.meta.is_negative_at(ParameterLocation.BODY):
        case.body = MODEL_FILE
    if case.path == REPORT and not case.meta.is_negative_at(ParameterLocation.QUERY):
        query = case.query or {}
        if query.get("from", "") > query.get("to", "9"):
            query["from"], query["to"] = query["to"], query["from"]
    if case.path != EVENTS:
        return
    if "columns" in (case.query or {}) and not case.meta.is_negative_at(ParameterLocation.QUERY):
        # Any text is a string, but the columns that the kind needs must be among those that are named.
        if case.query.get("kind") == "customers":
            case.query["columns"] = HEADERS["customers"]
        else:
            case.query.pop("columns")
    if case.meta.is_negative_at(ParameterLocation.BODY):
        return
    if case.media_type in (CSV, NDJSON) and isinstance(case.body, str):
        kind = case.query.get("kind")
        case.body = _text_body(case.media_type, kind if kind in KINDS else "plays", case.body)
    elif case.media_type == "application/json":
        case.body = _each(case.body, _event_in_the_past)
    elif case.media_type in (CLOUD_EVENT, CLOUD_EVENTS):
        case.body = _each(case.body, _complete_cloud_event)


def _campaigns(generated) -> str:
    """A document of the one campaign that a server has without one, with the generated text in a creative."""
    text = str(generated)[:1000]
    # The letters that TOML has no other way to write in a string of one line.
    escaped = "".join(f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}" for letter in text)
    return f"""[[campaign]]
id = "gold-one-day"
ad = "ADV_REDUCED_1DAY"
caps = [{{ impressions = 1, hours = 24 }}]
impression_cost = 0.02
click_value = 0.50
creative = {{ title = "{escaped}" }}
"""


def _in_digits(value):
    """The same value with whole numbers written as such: JSON Schema takes `48.0` for an integer, ids are digits."""
    if isinstance(value, dict):
        return {name: _in_digits(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_in_digits(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _each(body, change):
    if isinstance(body, list):
        return [change(row) if isinstance(row, dict) else row for row in body]
    return change(body) if isinstance(body, dict) else body


def _in_the_past(time: str) -> str:
    """The same time of day on a date that exists and is over: which dates are in the future depends on the server's clock."""
    match = TIME.match(time)
    if match is None:
        return time
    year, month, day, rest = match.groups()
    year = year if "0001" <= year < "2020" else f"20{int(year) % 20:02}"
    try:
        datetime.date(int(year), int(month), int(day))
    except ValueError:
        day = "28"
    return f"{year}-{month}-{day}{rest}"


def _event_in_the_past(event: dict) -> dict:
    if isinstance(event.get("time"), str):
        return {**event, "time": _in_the_past(event["time"])}
    return event


KIND_BY_FIELD = {
    "track_id": "play",
    "ad": "click",
    "campaign": "impression",
    "decision_id": "impression",
    "level": "membership",
}


def _complete_cloud_event(envelope: dict) -> dict:
    """Moves what `data` leaves out into the envelope."""
    data = envelope.get("data")
    if not isinstance(data, dict):
        return envelope
    envelope, data = dict(envelope), _event_in_the_past(data)
    envelope["data"] = data
    if "type" not in data:
        kinds = (kind for field, kind in KIND_BY_FIELD.items() if field in data)
        envelope["type"] = f"com.example.{next(kinds, 'play')}"
    if "event_id" not in data and not ID.match(envelope["id"]):
        envelope["id"] = "7f3a-91"
    if "customer_id" not in data:
        envelope["subject"] = "48"
    if "time" not in data:
        envelope["time"] = "2014-10-23T03:40:00Z"
    return envelope


KINDS = ["plays", "clicks", "customers", "tracks"]
HEADERS = {
    "customers": "CustID,Name,Gender,Address,zip,SignDate,Status,Level,Campaign,LinkedWithApps",
    "tracks": "TrackId,Title,Artist,Length",
}


def _text_body(media_type: str, kind: str, generated: str) -> str:
    """The generated text between rows that are good, under the header that the kind asks for."""
    choice = random.Random(generated)
    before = [_good_row(media_type, kind, choice) for _ in range(choice.randrange(3))]
    after = [_good_row(media_type, kind, choice) for _ in range(choice.randrange(3))]
    header = [HEADERS[kind]] if media_type == CSV and kind in HEADERS else []
    end = choice.choice(["\n", "\r\n"])
    return end.join([*header, *before, generated, *after]) + choice.choice(["", end])


def _good_row(media_type: str, kind: str, choice: random.Random) -> str:
    event, customer, track = choice.randrange(10**6), choice.choice(["48", "532", "user:7f3a"]), choice.randrange(1750)
    day = f"2014-{choice.randint(1, 12):02}-{choice.randint(1, 28):02}"
    clock = f"{choice.randrange(24):02}:{choice.randrange(60):02}:{choice.randrange(60):02}"
    if media_type == NDJSON:
        play = {"type": "play", "event_id": event, "customer_id": customer, "track_id": track}
        return json.dumps({**play, "time": f"{day}T{clock}", "mobile": choice.random() < 0.5})
    return {
        "plays": f'{event},{customer},{track},"{day} {clock}",{choice.randrange(2)},"{choice.randrange(10**5):05}"',
        "clicks": f'{event},{customer},"ADV_REDUCED_1DAY","{day} {clock}"',
        "customers": f'{customer},"A, B",1,"1 Any Street",10001,"{choice.randint(1, 12):02}/07/2013",1,'
        f"{choice.randrange(3)},1,0",
        "tracks": f"{track},A Song,A Band,{choice.randrange(600)}",
    }[kind]


# --- Answers that are right --------------------------------------------------------------------------------------

@schemathesis.hook
def filter_failure(context, failure, case, response) -> bool:
    if case.path == JOB and isinstance(failure, UseAfterFree):
        # To cancel a job takes nothing away: what became of it is still told.
        return False
    if case.path != EVENTS:
        return True
    rejected = _rejected(response)
    if isinstance(failure, AcceptedNegativeData) and response.status_code == 200:
        # Bad rows of a list are reported row by row, and the others are applied.
        return not ((rejected and _is_list(case)) or _only_spells_its_encoding_oddly(case))
    if isinstance(failure, RejectedPositiveData) and response.status_code == 422:
        # Some generated rows of text are bad on purpose, and `atomic=true` then refuses them all.
        text = case.media_type in (CSV, NDJSON)
        return not (text and rejected and case.query.get("atomic") in (True, "true"))
    return True


def _rejected(response) -> list:
    try:
        answer = response.json()
    except ValueError:
        return []
    return answer.get("rejected", []) if isinstance(answer, dict) else []


def _is_list(case) -> bool:
    return case.media_type in (CSV, NDJSON) or isinstance(case.body, list)


def _only_spells_its_encoding_oddly(case) -> bool:
    """Codings are named in either case, gzip is x-gzip too, and no name at all is no coding (RFC 9110, section 8.4)."""
    value = (case.headers or {}).get("Content-Encoding")
    others = [where for where in ParameterLocation if where != ParameterLocation.HEADER]
    known = isinstance(value, str) and value.strip().lower() in ("", "identity", "gzip", "x-gzip", "zstd")
    return known and not any(case.meta.is_negative_at(where) for where in others)


# --- Our own check -----------------------------------------------------------------------------------------------


@schemathesis.check
def every_row_is_accounted_for(ctx, response, case) -> None:
    """What became of rows adds up to the rows that were sent."""
    if case.path != EVENTS or case.method != "POST" or case.media_type in (CSV, NDJSON):
        return
    if response.status_code != 200:
        return
    report = response.json()
    rows = len(case.body) if isinstance(case.body, list) else 1
    counts = ("accepted", "duplicates", "too_old", "erased", "rejected_omitted")
    accounted = sum(report.get(name, 0) for name in counts) + len(report["rejected"])
    assert accounted == rows, f"{rows} rows were sent, the report accounts for {accounted}"
    indices = [row["index"] for row in report["rejected"]]
    assert indices == sorted(set(indices)), f"indices of rejected rows are not ascending: {indices}"
    assert all(0 <= index < rows for index in indices), f"indices of rejected rows are out of range: {indices}"
    types = [row["type"] for row in report["rejected"]]
    assert all(kind.startswith("/problems/") for kind in types), f"types of rejected rows are no problems: {types}"
