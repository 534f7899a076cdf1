"""From the log to a signed, published release: built, signed by its approvers, published, checked."""
