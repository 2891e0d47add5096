#!/bin/sh
# A training script without Python: it minimizes (x - 3)^2 by gradient descent and prints the loss of every step.
set -eu
lr=0.1 steps=27 pause=0 out=. resume=
while [ $# -gt 0 ]; do
    case $1 in
        --lr) lr=$2 ;;
        --steps) steps=$2 ;;
        --pause) pause=$2 ;;
        --out) out=$2 ;;
        --resume) resume=$2 ;;
        *) echo "unknown option $1" >&2; exit 2 ;;
    esac
    shift 2
done

step=0 x=0
if [ -n "$resume" ]; then
    read -r step x < "$resume"
fi
while [ "$step" -lt "$steps" ]; do
    step=$((step + 1))
    x=$(awk "BEGIN { printf \"%.9f\", $x - $lr * 2 * ($x - 3) }")
    echo "step=$step loss=$(awk "BEGIN { printf \"%.9f\", ($x - 3) ^ 2 }")"
    echo "$step $x" > "$out/state.tmp"
    mv "$out/state.tmp" "$out/state"
    sleep "$pause"
done
