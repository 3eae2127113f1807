"""Training and scoring compared with libSVM, LIBLINEAR and ffsvm: benches/svm, briefly."""

from statistics import median

from suite import text, tools
from suite.parts.engine import BUILD_S, bench

NAME = "svm"
TITLE = "Training and scoring"
LIMITS_S = 480, 480

ROWS = 1024


def prepare(_stage):
    """Builds the benches, which takes longer than they do."""
    command = ["cargo", "bench", "--locked", "--manifest-path", tools.BENCHES / "svm/Cargo.toml", "--target-dir",
               tools.TARGET / "benches", "--bench", "scorer", "--no-run"]
    tools.command(command, BUILD_S)
    # The same profile, so that the dependencies are built once.
    command = ["cargo", "build", "--locked", "--profile", "bench", "--manifest-path", tools.BENCHES / "svm/Cargo.toml",
               "--target-dir", tools.TARGET / "benches", "--bins"]
    tools.command(command, BUILD_S)


def run(stage):
    """What these print; where brief, a few sets of the zoo, which fails on a wrong objective."""
    if stage.quick:
        tools.command([tools.TARGET / "benches/release/zoo", "quick"], LIMITS_S[0])
    page_file = stage.folder / "svm.md"
    tools.command([tools.BENCHES / "svm/run", "--quick", "--output", page_file], LIMITS_S[0])
    arguments = ["rbf/100/"] if stage.quick else []
    return {"page": page_file.read_text(), "scorer": bench("scorer", "svm", arguments, quick=True)}


def training_rows(page):
    """A row for each solver of each table of that page: problem, solver, and its first two figures."""
    problem, rows = "", []
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if line.startswith("### "):
            problem = line.removeprefix("### ")
        elif line.startswith("| ") and len(cells) > 3 and cells[0] != "solver":
            rows.append([problem, *cells[:3]])
            problem = ""
    return rows


def page(data):
    rows = []
    for name, result in data["scorer"].items():
        each = ROWS if f"batch of {ROWS}" in name else 1
        rows.append([name, text.spread(text.times(result["ns"], 1 / each))])
    return [
        "`benches/svm/run --quick` and `--bench scorer -- --quick`: one round each, so that this stays brief. "
        "[benches/svm/results.md](../benches/svm/results.md) has the whole comparison, with objectives and errors, and "
        "[benches/svm/scorer.md](../benches/svm/scorer.md) the scorer's. Training is a whole process, ¹ fitting alone.",
        "",
        *text.table(["problem", "solver", "ms", "of ours"], training_rows(data["page"])),
        "",
        *text.table(["scoring one row", "ns"], rows),
    ]


def budgets(data):
    rows = []
    for kernel, bound in (("linear", 10), ("rbf/100", 100)):
        of_kernel = [median(r["ns"]) for name, r in data["scorer"].items()
                     if name.startswith(f"{kernel}/upbeat") and "batch" not in name]
        if of_kernel:
            best = min(of_kernel)
            what = "score one vector, linear" if kernel == "linear" else "score one vector, RBF with 100 support vectors"
            rows.append((what, f"≤ {bound} ns", f"{text.figure(best)} ns", best <= bound))
    return rows
