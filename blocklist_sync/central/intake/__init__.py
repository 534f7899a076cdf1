"""Lists from outside: their formats, and their way to drafts of proposals."""
