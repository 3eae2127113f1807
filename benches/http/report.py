"""From samples to the Markdown that README quotes."""

from statistics import median

# Above this share of the servers' core, other processes disturb the figures.
QUIET = 0.05
# Below this share of the rate that was asked for, an open loop measures its generator and not the server.
KEPT_PACE = 0.98


def spread(values, form="{:,.0f}"):
    """Median, with the range where there is one."""
    values = list(values)
    if any(value is None for value in values):
        return "–"
    middle, low, high = (form.format(value) for value in (median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low}–{high})"


def us(value):
    """A form for microseconds: three digits are enough."""
    return "{:,.1f}" if value < 100 else "{:,.0f}"


def row(name, samples):
    """One server's line: every figure as median (min–max) of the rounds."""
    times = []
    for field in ("p50_us", "p99_us", "p999_us", "max_us"):
        values = [getattr(sample, field) for sample in samples]
        times.append(spread(values, us(median(values)) if None not in values else ""))
    cells = [
        name,
        spread(sample.per_s for sample in samples),
        spread((sample.cpu_us for sample in samples), "{:.2f}"),
        spread((100 * sample.busy for sample in samples), "{:.0f} %"),
        *times,
    ]
    return "| " + " | ".join(cells) + " |"


def table(rows, first="server"):
    """Lines of a table of rows() under the same columns."""
    columns = [first, "requests/s", "CPU/request, µs", "core busy", "p50, µs", "p99, µs", "p99.9, µs", "max, µs"]
    rule = ["---"] + ["--:"] * (len(columns) - 1)
    return ["| " + " | ".join(columns) + " |", "|" + "|".join(rule) + "|", *rows]


def ratio(above, below):
    """Ratio of the medians of CPU per request."""
    return f"{median(s.cpu_us for s in above) / median(s.cpu_us for s in below):.2f}"


def rounds(run):
    return "1 round" if run.rounds == 1 else f"{run.rounds} rounds"


def reasons(counts):
    """Shares of decisions by reason."""
    total = sum(counts.values()) or 1
    shares = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{reason} {100 * count / total:.1f} %" for reason, count in shares if count)


def render(run):
    """The whole page."""
    closed = run.closed
    against = [name for name in closed if name not in ("floor", "upbeat", "redis")]
    ratios = [f"**{ratio(closed['upbeat'], closed[name])} × {name}**" for name in ("floor", "redis")]
    ratios += [f"{ratio(closed['upbeat'], closed[name])} × {name}" for name in against]
    return "\n".join([
        "# Load over HTTP",
        "",
        f"`{run.command}` on {run.date}: {run.machine}; commit {run.commit}.",
        "",
        f"{run.customers:,} customers, {run.plays:,} plays; {rounds(run)} of {run.seconds} s, the servers in turn "
        "within each round; every figure is the median (min–max) of the rounds. Servers run on core "
        f"{run.cores.server}, load on core {run.cores.load}. Every request was answered 2xx, else there would be no "
        "table. [How to read it](../../docs/guides/load.md).",
        *noise_note(run),
        "",
        "## Decisions, closed loop",
        "",
        "wrk, 32 connections, `GET /should-show-ad/{id}` of random customers. *floor* is a bare epoll loop in C that "
        f"answers the same {run.reply_bytes} bytes under the same wrk; *redis* is redis-server answering "
        f"`redis-benchmark -c 32` `GET`s of {run.reply_bytes} bytes.",
        "",
        *table(row(name, samples) for name, samples in closed.items()),
        "",
        "CPU per decision (ratios of medians): " + ", ".join(ratios) + ".",
        f"Answers: {reasons(run.reasons)}.",
        "",
        "## Nine decisions to one event, closed loop",
        "",
        "wrk, 32 connections; each event is a `POST /events` of one play as JSON, timed now.",
        "",
        *table([row("upbeat", run.mixed)]),
        "",
        f"Of these requests {spread(s.writes / s.requests * 100 for s in run.mixed)} % were events; all were accepted.",
        "",
        *open_loop(run),
        "## Bulk ingest",
        "",
        f"`POST /events?kind=plays` as CSV, {run.plays:,} plays in bodies of 4 MiB over two connections, into an empty "
        "server in memory.",
        "",
        "| events/s | CPU/event, µs | resident afterwards, MiB |",
        "|--:|--:|--:|",
        f"| {spread(load.per_s for load in run.ingest)} | {spread((load.cpu_us for load in run.ingest), '{:.2f}')} "
        f"| {spread(load.resident / 2**20 for load in run.ingest)} |",
        "",
    ])


def open_loop(run):
    """Decisions at a fixed rate; nothing where it was left out."""
    if not run.open:
        return []
    return [
        f"## Decisions at {run.open_rate:,.0f}/s, open loop",
        "",
        f"oha sends at half of the rate measured above (`-q {run.open_rate:.0f} --latency-correction`, 32 connections), "
        "and a latency counts from when the request was due. *upbeat, writing* takes "
        f"{run.event_rate:,} plays/s from `upbeat replay` meanwhile, {run.event_batch} in a request (their CPU is in "
        "its figure). *floor* shows what generator and machine cost by themselves.",
        "",
        *table(row(name, samples) for name, samples in run.open.items()),
        *pace_notes(run),
        "",
    ]


def noise_note(run):
    """A warning when the machine was not ours alone."""
    others = median(sample.others for samples in run.closed.values() for sample in samples)
    if others < QUIET:
        return []
    return ["", f"**Other processes took {others:.0%} of the servers' core: these figures are provisional.**"]


def pace_notes(run):
    """A warning for each open loop whose generator fell behind."""
    notes = []
    for name, samples in run.open.items():
        share = median(sample.per_s for sample in samples) / run.open_rate
        if share < KEPT_PACE:
            notes += ["", f"**{name}: only {share:.0%} of the rate was reached, so these latencies are a backlog's.**"]
    return notes
