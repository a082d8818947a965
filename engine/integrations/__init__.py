"""Whether what we depend on works: looked at in the background, told in one place."""
