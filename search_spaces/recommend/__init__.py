"""Which space to start from: the questions, and the decisions behind the answer."""
