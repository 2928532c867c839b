"""Audit statistics: balance, losses and conservation, as pure functions on NumPy and Arrow."""
