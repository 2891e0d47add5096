"""Compare a fine-tuned MiniLM with a bag of words: the sign of a movie review's rating, on the same split.

The reviews are in the source distribution of vaderSentiment on PyPI (MIT): 10,605 snippets with mean ratings. It is
downloaded into a temporary folder and then deleted. Needs the extra ``text``.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from search_spaces import AdamW, Budget, Recipe, Regularization, derive_seed
from search_spaces.recipe.schedules import Linear
from search_spaces.specs.task_reference import write_reference
from trainers.loop.training import Training
from trainers.task import Split, carve
from trainers.task_lookup import load_task

PACKAGE = "vaderSentiment==3.3.2"
RESOURCES = "hutto_ICWSM_2014.tar.gz"
SNIPPETS = "movieReviewSnippets_GroundTruth.txt"
VAL, TEST = 200, 2000
SEED = 0


def snippets(folder: Path) -> pd.DataFrame:
    """Return the snippets and the sign of their ratings."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", PACKAGE]
    subprocess.run([*command, "--dest", str(folder)], check=True)
    with (
        tarfile.open(next(folder.glob("*.tar.gz"))) as archive,
        tarfile.open(fileobj=io.BytesIO(_member(archive, RESOURCES))) as resources,  # an archive in an archive
    ):
        content = _member(resources, SNIPPETS).decode("utf-8", errors="replace")
    rows = [line.split("\t", 2)[1:] for line in content.splitlines() if line.count("\t") >= 2]
    table = pd.DataFrame(rows, columns=["rating", "text"])
    return pd.DataFrame({"text": table.text, "label": (table.rating.astype(float) > 0).astype(int)})


def _member(archive: tarfile.TarFile, ending: str) -> bytes:
    name = next(name for name in archive.getnames() if name.endswith(ending) and "/._" not in name)
    return archive.extractfile(name).read()


def bag_of_words(train: pd.DataFrame, test: pd.DataFrame) -> float:
    """Return the test accuracy of logistic regression on TF-IDF of words and word pairs."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = LogisticRegression(max_iter=1000).fit(words.fit_transform(train.text), train.label)
    return float(model.score(words.transform(test.text), test.label))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = snippets(folder).sample(arguments.train + VAL + TEST, random_state=SEED, ignore_index=True)
        table["split"] = ["test" if i < TEST else "train" for i in range(len(table))]
        table.to_csv(folder / "snippets.csv", index=False)
        task = load_task(
            write_reference("text", {"file": str(folder / "snippets.csv"), "split": "split", "val": VAL, "length": 48})
        )
        # The same training examples as those of the network, as rows of the table.
        pool = torch.arange(TEST, len(table))
        rows = carve(Split(pool, pool), VAL, derive_seed(SEED, "split"))[0].inputs
        bag = bag_of_words(table.iloc[rows.tolist()], table.iloc[:TEST])
        print(f"TF-IDF + logistic regression   test accuracy {bag:.3f}", flush=True)
        recipe = Recipe(
            optimizer=AdamW(lr=1e-4),
            schedule=Linear(warmup=0.1),
            regularization=Regularization(dropout=0.1, clip_norm=1.0),
            budget=Budget(epochs=arguments.epochs, batch_size=16),
        )
        started = time.perf_counter()
        training = Training(recipe, task, SEED)
        while not training.finished:
            report = training.run_epoch()
            print(f"epoch {report.epoch}: val accuracy {report.metrics['val/accuracy']:.3f}", flush=True)
        seconds = time.perf_counter() - started
        print(f"MiniLM, fine-tuned             test accuracy {report.metrics['test/accuracy']:.3f} ({seconds:.0f} s)")


if __name__ == "__main__":
    main()
