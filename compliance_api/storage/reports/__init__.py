"""Reports, their chains, and the sums that outlive them."""
