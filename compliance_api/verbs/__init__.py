"""The verbs of `lachan-compliance`, a group each."""
