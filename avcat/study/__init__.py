"""A user study as in the paper's Table 2: clips built, and people's ratings averaged."""
