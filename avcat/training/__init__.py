"""Training: the loop, and one task for each network. Nothing here knows Ray; it runs alone or wrapped."""
