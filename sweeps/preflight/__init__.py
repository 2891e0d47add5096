"""Prepare, check and time a task in a child process before anything is trained."""
