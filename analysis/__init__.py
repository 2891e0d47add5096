"""Read the database, compare, draw and export. Start with report/present.py, which writes a report from the database.

    load.py       read the database into tidy data frames
    export.py     write a sweep as CSV and YAML files
    statistics/   paired comparisons, intervals, verdicts, planned looks and e-processes; numpy and scipy only
    calibration/  measure whether the confidence of a classifier matches its accuracy
    diagnosis/    find problems in the curves of one run
    sweep/        a sweep: its runs as evidence, checks, importances, findings and next steps
    ablation/     an ablation: its pairs as evidence, claims, caveats and findings
    across_tasks/ an ablation of several tasks: effects on a common scale, verdicts over all of them
    figures/      draw findings; the only folder that imports plotly
    report/       write findings and figures as a page, Markdown, terminal output and dashboard entries
    ablate.py     `sweeps ablate`, the only module here that starts runs; the shipped ablations are in ablations/

Each entry imports only from those above it and from two small modules: `wording.py` formats numbers, and
`range_position.py` tells how close a value is to the edge of its range.
"""
