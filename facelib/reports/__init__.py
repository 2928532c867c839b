"""What a run reports: balance, losses, conservation, evaluation, as pure functions on NumPy and Arrow."""
