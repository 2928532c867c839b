"""The report of a run as one HTML file: a module per chapter, small pure functions for charts and tables."""
