#!/bin/bash
# Submit a sweep to a running Ray cluster. The driver runs on its head, so this machine may be turned off.
#
#     export SWEEPS_STORAGE=postgresql+psycopg://me@db.example.org/sweeps    # the password: ~/.pgpass on the head
#     export SWEEPS_CHECKPOINTS=/shared/me/checkpoints                       # a folder that all nodes share
#     deploy/ray-job-submit.sh my_space.yaml [more options of `sweeps run`]
#
# Run it in the folder of your space and your task, which is sent along. It needs `pip install 'sweeps[cluster]'` here
# and on the head, the head's token in ~/.ray/auth_token, and its job server at $RAY_API_SERVER_ADDRESS:
# ssh -L 8265:127.0.0.1:8265 head
# Ctrl-C ends the log here, not the sweep; `ray job stop ID` stops the sweep. See docs/cluster.md.

set -euo pipefail

: "${SWEEPS_STORAGE:?set it to a database that the head can reach; a relative SQLite path is lost with the job}"
: "${SWEEPS_CHECKPOINTS:?set it to a folder that all nodes share}"
case "$SWEEPS_STORAGE" in    # the URL is visible in the job list of the cluster
*://*:*@*) echo "SWEEPS_STORAGE contains a password: put it into ~/.pgpass on the head" >&2; exit 2 ;;
esac
[ $# -gt 0 ] || { echo "usage: ray-job-submit.sh SPACE [options of sweeps run]" >&2; exit 2; }

export RAY_AUTH_MODE=token

# Files in .gitignore, results and environments are not sent.
# --wait: the lease of a killed driver lasts for another 30 s.
exec ray job submit \
    --address "${RAY_API_SERVER_ADDRESS:-http://127.0.0.1:8265}" \
    --working-dir . \
    --runtime-env-json '{"excludes": ["runs", "reports", ".venv", ".git"]}' \
    -- sweeps run "$@" --address auto --storage "$SWEEPS_STORAGE" --checkpoints "$SWEEPS_CHECKPOINTS" --wait
