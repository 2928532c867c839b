"""Faces: detection, landmarks, aligned chips, measures and quality."""
