"""The learning objectives (paper, section 3.4)."""
