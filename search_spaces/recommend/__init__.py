"""Recommend a space to start from: the questions, and the decisions behind it."""
