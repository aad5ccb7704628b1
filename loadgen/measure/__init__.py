"""Samples → histograms, percentiles with intervals, series; and the instrument's own health."""
