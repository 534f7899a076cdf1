"""What others may know of the list: counts and commitments, an answer for one domain, an inspector's export."""
