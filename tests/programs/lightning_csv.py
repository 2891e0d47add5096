"""A Lightning script: LightningModule, CSVLogger, ModelCheckpoint, its options from the command line."""

import argparse

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--hidden", type=int, default=8)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--out", default="logs")
parser.add_argument("--resume")
options = parser.parse_args()


class Regression(pl.LightningModule):
    """A small network for a linear function."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(4, options.hidden), torch.nn.ReLU(), torch.nn.Linear(options.hidden, 1)
        )

    def training_step(self, batch, index):
        inputs, targets = batch
        loss = torch.nn.functional.mse_loss(self.net(inputs), targets)
        self.log("train_loss", loss, on_step=True, on_epoch=False)
        return loss

    def validation_step(self, batch, index):
        inputs, targets = batch
        self.log("val_loss", torch.nn.functional.mse_loss(self.net(inputs), targets))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=options.lr)


pl.seed_everything(0)
torch.set_num_threads(1)
inputs = torch.randn(96, 4)
data = TensorDataset(inputs, inputs @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]]))
train, val = torch.utils.data.random_split(data, [64, 32])
trainer = pl.Trainer(
    max_epochs=options.epochs,
    accelerator="cpu",
    logger=CSVLogger(options.out, name="csv", flush_logs_every_n_steps=1),
    callbacks=[ModelCheckpoint(dirpath=options.out, filename="last")],
    log_every_n_steps=2,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Regression(), DataLoader(train, batch_size=16), DataLoader(val, batch_size=32), ckpt_path=options.resume)
