"""A user study as in the paper's Table 2: clips built, shown to people in a web page, and their ratings averaged."""
