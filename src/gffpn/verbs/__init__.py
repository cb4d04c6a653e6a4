"""What `python -m gffpn VERB` can do: a file a verb, each with its words and its action."""
