"""A Hydra app: its parameters are overrides of conf/config.yaml, and its log file has the metrics."""

import logging
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

log = logging.getLogger(__name__)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    """Minimize (x - 3)^2 by gradient descent with momentum."""
    x, velocity = 0.0, 0.0
    for epoch in range(1, cfg.trainer.max_epochs + 1):
        velocity = cfg.optimizer.momentum * velocity + 2 * (x - 3)
        x -= cfg.optimizer.lr * velocity
        log.info("epoch %d: val loss %.6f", epoch, (x - 3) ** 2)
    (Path(HydraConfig.get().runtime.output_dir) / "x.txt").write_text(f"{x}\n")


if __name__ == "__main__":
    main()
