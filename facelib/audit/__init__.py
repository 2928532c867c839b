"""Statistics of the audit: formulas on counts, labels and similarities; no tables, no files."""
