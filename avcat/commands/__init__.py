"""One module a command: `add` puts its parser among the others and imports nothing heavy; its work does."""
