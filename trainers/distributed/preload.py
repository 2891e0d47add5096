"""Imports of the fork server for the processes of distributed trainings; no other module imports this one."""

import os

# DDP has to search for unused parameters, since a model may have some; this hides torch's C++ warning about it.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
# Lets torch detect CUDA without initialising it, which must not happen before a fork.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

import torch._dynamo  # noqa: F401  every optimizer imports it, which takes as long as torch itself

import trainers.distributed.rank_process  # noqa: F401
