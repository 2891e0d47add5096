"""A script that is configured by a YAML file alone: python from_config.py base.yaml"""

import json
import sys
from pathlib import Path

import yaml

config = yaml.safe_load(Path(sys.argv[1]).read_text())
log = Path(config["log"]["folder"] or Path(sys.argv[1]).parent) / "log.jsonl"
x, velocity = 0.0, 0.0
with log.open("a") as file:
    for epoch in range(1, config["trainer"]["epochs"] + 1):
        velocity = config["optimizer"]["momentum"] * velocity + 2 * (x - config["data"]["targets"][0])
        x -= config["optimizer"]["lr"] * velocity
        file.write(json.dumps({"epoch": epoch, "val": {"loss": (x - config["data"]["targets"][0]) ** 2}}) + "\n")
        file.flush()
