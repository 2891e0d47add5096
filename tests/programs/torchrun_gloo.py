"""A script for torchrun: DistributedDataParallel with gloo on CPUs; rank 0 prints, every rank writes its options."""

import argparse
import json
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--batch-size", type=int, default=8)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--out", type=Path, required=True)
options = parser.parse_args()

dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
torch.set_num_threads(1)
(options.out / f"rank{rank}.json").write_text(json.dumps({**vars(options), "out": str(options.out), "world": world}))
torch.manual_seed(options.seed)
model = DistributedDataParallel(torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=options.lr)
inputs = torch.randn(64, 4)
targets = inputs.sum(1, keepdim=True)
for epoch in range(1, options.epochs + 1):
    for batch in torch.arange(64).split(options.batch_size * world):
        mine = batch[rank::world]
        loss = torch.nn.functional.mse_loss(model(inputs[mine]), targets[mine])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        total = torch.nn.functional.mse_loss(model(inputs), targets)
    dist.all_reduce(total)
    if rank == 0:
        print(f"Epoch [{epoch}/{options.epochs}] val_loss: {total.item() / world:.6f}")
dist.destroy_process_group()
