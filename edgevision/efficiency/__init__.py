"""How much of what a device can do a model uses, and why not more (Lavin 2024, arXiv 2404.03617)."""
