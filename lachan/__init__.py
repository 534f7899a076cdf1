"""What two or more of the packages share. Imports none of them."""
