"""What the console shows, as plain read-only values."""
