#!/bin/sh
# A script that reads its parameters from environment variables.
set -eu
x=0 epoch=0
while [ "$epoch" -lt "$SWEEPS_EPOCHS" ]; do
    epoch=$((epoch + 1))
    x=$(awk "BEGIN { print $x - $SWEEPS_ARG_LR * 2 * ($x - $SWEEPS_ARG_START_AT) }")
    echo "Epoch $epoch/$SWEEPS_EPOCHS - val_loss: $(awk "BEGIN { printf \"%.6f\", ($x - $SWEEPS_ARG_START_AT) ^ 2 }")"
done
echo "$SWEEPS_ARGS" > "$SWEEPS_OUT/args.json"
