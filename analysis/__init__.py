"""Read the database, compare, draw, export. Start with present.py: the whole way from the database to a report.

    load.py       the database as tidy frames
    export.py     a sweep as CSV and YAML files
    statistics/   paired comparisons, intervals, verdicts, planned looks and e-processes: numpy and scipy alone
    calibration/  is a classifier as sure as it is right
    diagnosis/    the curves of one run -> what is wrong with it
    sweep/        a sweep: its runs as evidence, checks, importances, findings, and what to run after it
    ablation/     an ablation: its pairs as evidence, claims, caveats, findings
    figures/      findings -> drawings; the one door of plotly
    report/       findings and drawings -> page, Markdown, terminal, dashboard
    present.py    a name in the database -> its report, in every place where a person looks
    ablate.py     `sweeps ablate`, the one file here that starts runs; the shipped questions lie in ablations/

Each imports only from those above it, and from two small files that serve them all: `wording.py`, how a number is
written, and `range_position.py`, how close a value is to the edge of its range.
"""
