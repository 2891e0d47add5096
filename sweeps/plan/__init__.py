"""Which runs a sweep or an ablation consists of, and which of them ASHA stops."""
