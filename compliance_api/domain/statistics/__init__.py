"""The statistics of a verdict: pure functions of counts, each with the source of its formula.

Holds always: nothing here reads a clock, a file or a random number; no counts accuse nobody; what is rounded is rounded
so that it does not accuse: intervals outward, e-values down, thresholds up. Decisions rest on whole numbers and exact
fractions; where SciPy's floats enter, they choose a whole number and are far from its edge.
"""
