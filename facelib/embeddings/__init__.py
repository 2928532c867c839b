"""Embeddings: models that turn face chips into vectors."""
