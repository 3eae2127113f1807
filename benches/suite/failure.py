"""The one exception that ends a run with a message instead of a trace."""


class Failure(Exception):
    """What was wrong, where, and what to do."""
