"""One module per command: `add` registers its parser without heavy imports; these happen when it runs."""
