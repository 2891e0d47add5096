"""The curves of one run -> what is wrong with it, by written rules. Start with diagnose.py."""
