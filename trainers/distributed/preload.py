"""What the server imports that the processes of distributed trainings are forked from; nobody else imports it."""

from __future__ import annotations

import os

# It is not known beforehand whether a model leaves parameters unused, and torch warns in C++ that it looks for them.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
# Whether there is CUDA can be asked without starting it, which no process may do that is forked from.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

import torch._dynamo  # noqa: F401  every optimizer loads it, which takes as long as torch itself

import trainers.distributed.rank_process  # noqa: F401
