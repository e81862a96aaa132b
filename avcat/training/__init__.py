"""Training: the loop, and one task for each network. Nothing here depends on Ray; it runs by itself or wrapped."""
