"""Tables, pictures and a page from files of figures; needs `avcat[pipeline]` for its curves, and no orchestrator."""
