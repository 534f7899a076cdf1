"""What a log of evidence says, and how those who hold it to its word check that."""
