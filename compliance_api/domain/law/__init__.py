"""The law as data: duties, tolerances and burdens of proof, each text in force for a time and a place."""
