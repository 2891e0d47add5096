"""The words of a command: placeholders, and how a program's command line takes arguments."""
