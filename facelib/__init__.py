"""facelib: distributed batch analytics of face-image archives."""

__version__ = "0.1.0"
