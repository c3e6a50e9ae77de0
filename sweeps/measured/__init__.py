"""Embeddings that were trained elsewhere: found, measured, judged, and written as result tables."""
