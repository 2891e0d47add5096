#!/bin/bash
# Hand a sweep to a Ray cluster that runs: the driver runs on its head, also when this machine goes to sleep.
#
#     export SWEEPS_STORAGE=postgresql+psycopg://me@db.example.org/sweeps    # the password: ~/.pgpass on the head
#     export SWEEPS_CHECKPOINTS=/shared/me/checkpoints                       # a folder that all nodes see
#     deploy/ray-job-submit.sh my_space.yaml [more options of `sweeps run`]
#
# From the folder of your space and your task, which is sent along. Needs `pip install 'sweeps[cluster]'` here and on
# the head, its token in ~/.ray/auth_token, and its job server at $RAY_API_SERVER_ADDRESS: ssh -L 8265:127.0.0.1:8265 head
# Ctrl-C ends the log here, not the sweep: `ray job stop ID` does. docs/cluster.md tells the whole way.

set -euo pipefail

: "${SWEEPS_STORAGE:?set it to a database that the head reaches; a relative SQLite path would go with the job}"
: "${SWEEPS_CHECKPOINTS:?set it to a folder that all nodes see}"
case "$SWEEPS_STORAGE" in    # it stands in the job list of the cluster
*://*:*@*) echo "SWEEPS_STORAGE holds a password: put it into ~/.pgpass on the head" >&2; exit 2 ;;
esac
[ $# -gt 0 ] || { echo "usage: ray-job-submit.sh SPACE [options of sweeps run]" >&2; exit 2; }

export RAY_AUTH_MODE=token

# What .gitignore names is not sent; nor are results and environments.
# --wait: a driver that was killed holds its sweep for 30 s more.
exec ray job submit \
    --address "${RAY_API_SERVER_ADDRESS:-http://127.0.0.1:8265}" \
    --working-dir . \
    --runtime-env-json '{"excludes": ["runs", "reports", ".venv", ".git"]}' \
    -- sweeps run "$@" --address auto --storage "$SWEEPS_STORAGE" --checkpoints "$SWEEPS_CHECKPOINTS" --wait
