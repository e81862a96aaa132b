"""The layers that AV-CAT is made of."""
