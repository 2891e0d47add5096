"""A script for `accelerate launch`: the main process prints, every process writes its options."""

import argparse
import json
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--out", type=Path, required=True)
options = parser.parse_args()

accelerator = Accelerator(cpu=True)
torch.set_num_threads(1)
torch.manual_seed(0)
written = {"lr": options.lr, "processes": accelerator.num_processes}
(options.out / f"process{accelerator.process_index}.json").write_text(json.dumps(written))
inputs = torch.randn(64, 4)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=options.lr)
loader = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=8)
model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
for epoch in range(1, options.epochs + 1):
    losses = []
    for batch, targets in loader:
        loss = torch.nn.functional.mse_loss(model(batch), targets)
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
        losses.append(accelerator.gather(loss.detach()).mean())
    accelerator.print({"epoch": epoch, "eval": {"loss": torch.stack(losses).mean().item()}})
accelerator.end_training()
