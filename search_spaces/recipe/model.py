"""The model section of a recipe; the task chooses the fields that are not given."""

from typing import Literal

from search_spaces.recipe.part import Count, Part, Positive

Norm = Literal["batch", "layer", "group", "instance", "rms", "none"]
Init = Literal["he", "xavier", "orthogonal", "identity", "default"]


class Model(Part):
    """Architecture, size, normalization and initial weights of a built-in task's model.

    A task with its own pretrained network rejects values that it does not support.

    Attributes:
        kind: Architecture; None uses that of the task.
        width: Size of a layer: hidden units, channels of the first convolution, or dimension of a token.
        depth: Number of layers before the output layer.
        norm: Normalization after every layer, or inside every block of a transformer. Batch (Ioffe and Szegedy,
            2015), layer (Ba et al., 2016), group (Wu and He, 2018), instance (Ulyanov et al., 2016), root mean
            square (Zhang and Sennrich, 2019).
        init: Initial weights; biases start at 0. He et al. (2015) for ReLU, Glorot and Bengio (2010)
            for tanh, orthogonal (Saxe et al., 2014), identity (Le et al., 2015); "default" is torch's own.
        mup_base: Width at which the learning rate was tuned, so that it can be used at any width: maximal update
            parametrization (Yang et al., "Tensor Programs V", 2022), for mlp and transformer with an optimizer of
            Adam's family. None uses the standard parametrization.
        lora_rank: Rank of low-rank adapters, with the rest of the network frozen (Hu et al., "LoRA", 2022). None
            trains every weight. For tasks with a pretrained transformer.
        lora_alpha: Adapters are scaled by lora_alpha / lora_rank.
        sync_batch_norm: Whether the BatchNorm layers of a run in several processes share their statistics over the
            micro-batches of all processes. On CUDA only; without effect in a single process.
    """

    kind: Literal["logistic", "mlp", "cnn", "gru", "lstm", "transformer"] | None = None
    width: Count | None = None
    depth: Count | None = None
    norm: Norm | None = None
    init: Init = "default"
    mup_base: Count | None = None
    lora_rank: Count | None = None
    lora_alpha: Positive = 16.0
    sync_batch_norm: bool = False
