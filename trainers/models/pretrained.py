"""Load a pretrained transformer from a folder in Hugging Face's format; add an output layer and adapters."""

import os
import warnings
from pathlib import Path
from typing import Any

from torch import Tensor, nn


class PretrainedClassifier(nn.Module):
    """Mean of a transformer's last hidden states over all tokens except padding, then one linear layer.

    Args:
        backbone: Model that maps ``input_ids`` and ``attention_mask`` to ``last_hidden_state``.
        width: Size of a hidden state.
        padding: Padding token.
        classes: Number of logits per text.
        dropout: Dropout probability before the output layer and in every dropout layer of the backbone, including those
            of attention.
    """

    def __init__(self, backbone: nn.Module, width: int, padding: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.padding = padding
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout

    def forward(self, inputs: Tensor) -> Tensor:
        """Map tokens ``(n, length)`` to logits ``(n, classes)``."""
        mask = inputs != self.padding
        if inputs.device.type == "cpu":  # a GPU would have to be waited for at every step
            # Remove the columns that are padding in every row, to save time.
            longest = max(1, int(mask.sum(1).max()))
            inputs, mask = inputs[:, :longest], mask[:, :longest]
        states: Tensor = self.backbone(input_ids=inputs, attention_mask=mask.long()).last_hidden_state
        weights = mask.unsqueeze(2).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)
        logits: Tensor = self.head(self.dropout(mean))
        return logits


def load_backbone(folder: Path) -> Any:
    """Return the transformer in a folder, without its pooling layer, which the classifier does not use."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import AutoModel, logging  # takes seconds to import

    logging.disable_progress_bar()  # a sweep has its own progress display
    backbone = AutoModel.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    if getattr(backbone, "pooler", None) is not None:
        backbone.pooler = None
    return backbone


def add_adapters(backbone: Any, rank: int, alpha: float) -> nn.Module:
    """Freeze a transformer and add low-rank adapters to all its linear layers (Hu et al., "LoRA", 2022)."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", lora_dropout=0.0)
    with warnings.catch_warnings():
        # peft uses a name that newer versions of transformers deprecate.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        adapted: nn.Module = get_peft_model(backbone, config)
    return adapted
