"""Programs on top of the library: the `avcat` command, a page for dubbing, and the server of a user study."""
