"""The verbs of `python -m gffpn VERB`, one file per verb with its arguments and its action."""
