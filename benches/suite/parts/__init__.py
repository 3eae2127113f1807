"""The parts of the suite, in the order of the page. Each module has

NAME            as the command line calls it
TITLE           of its chapter
LIMITS_S        it is stopped after so many seconds: whole, brief
LIMIT_10M_S     the same with --10m (if there)
ENGINE, PYTHON  whether it needs the programs of benches/engine, and the Python with the peers (if there)
run(stage)      measures; what it gives back is kept as JSON
page(data)      lines of Markdown of that
budgets(data)   rows of the table of budgets: what, budget, measured, whether it is met
plots(data)     pictures, as plots.py takes them (if there)
"""

from suite.parts import (
    backup, burst, counts, durable, engine, features, hostile, http, journal, logged, memory, recovery, restart, retraining, scaling, stall, start, svm, tail
)

ALL = [http, tail, durable, stall, backup, logged, retraining, recovery, restart, journal, engine, memory, features, start, scaling, counts, hostile, burst, svm]
