"""The compliance service: compares what operators claim with what probes observe."""
