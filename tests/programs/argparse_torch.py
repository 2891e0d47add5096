"""A training script as people write them: argparse, torch, prints, a checkpoint. It knows nothing of this project."""

import argparse
import os
import time

import torch

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--weight-decay", type=float, default=0.0)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--steps", type=int, default=40)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--pause", type=float, default=0.0)
parser.add_argument("--out", required=True)
parser.add_argument("--resume")
options = parser.parse_args()

torch.manual_seed(options.seed)
torch.set_num_threads(1)
inputs = torch.randn(256, 8)
targets = inputs @ torch.randn(8, 1) + 0.1 * torch.randn(256, 1)
model = torch.nn.Linear(8, 1)
optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=options.weight_decay)
start = 0
if options.resume:
    state = torch.load(options.resume)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    start = state["step"]

for step in range(start + 1, options.steps + 1):
    batch = torch.arange(step * options.batch_size, (step + 1) * options.batch_size) % 200
    loss = torch.nn.functional.mse_loss(model(inputs[batch]), targets[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    time.sleep(options.pause)
    if step % 5 == 0:
        with torch.no_grad():
            val = torch.nn.functional.mse_loss(model(inputs[200:]), targets[200:])
        print(f"step {step}: train loss {loss.item():.6f}, val loss {val.item():.6f}")
        path = os.path.join(options.out, "last.pt")
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, path + ".tmp")
        os.replace(path + ".tmp", path)
