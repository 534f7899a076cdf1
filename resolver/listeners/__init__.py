"""Where clients come in. Every transport hands its queries to the same engine."""
