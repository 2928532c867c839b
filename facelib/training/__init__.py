"""Retraining sets: what goes in, with which weight and on which side, and how torch reads it back."""
