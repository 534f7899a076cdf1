"""Whether counters count: secret questions, committed counts opened, and counters that are another node's."""
