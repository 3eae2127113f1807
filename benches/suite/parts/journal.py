"""The log beside stores that could have been it, and the ways to lay out its segments: benches/journal."""

from suite import tools
from suite.stage import disk_of

NAME = "journal"
TITLE = "The log beside SQLite, redb and fjall"
LIMITS_S = 300, 60

RECORDS = 10_000
BUILD_S = 1200


def prepare(stage):
    """Builds the bench with its stores; SQLite takes a minute, so that a brief run does without."""
    if not stage.quick:
        tools.say("building the bench of the log, with SQLite, redb and fjall")
        manifest = tools.BENCHES / "journal/Cargo.toml"
        build = ["cargo", "build", "--release", "--locked", "--manifest-path", manifest, "--target-dir", tools.TARGET / "benches"]
        tools.command(build, BUILD_S)


def run(stage):
    """All candidates in turn, on the disk of the checkout."""
    disk_of(stage)
    if stage.quick:
        return {"tables": ""}
    program = tools.TARGET / "benches/release/upbeat-journal-benches"
    return {"tables": stage.run([program, stage.folder, RECORDS], 280)}


def page(data):
    if not data["tables"]:
        return ["Left out of a brief run: its stores take minutes to build."]
    return [
        "The same records made durable by the log (`crates/journal`) and by stores that could have been it, so many at once, in "
        "turn with the disk's own write and sync of as many bytes; [what follows from it](decisions/journal.md).",
        "",
        *data["tables"].strip().splitlines(),
    ]


def budgets(_data):
    return []
