"""The release itself: canonical names, records, and the snapshot that edges map. Both sides read it here."""
