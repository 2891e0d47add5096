"""Every hyperparameter of a training, typed and frozen, with dotted fields and a hash."""
