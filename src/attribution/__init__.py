"""Click-redirect and attribution service; docs/ARCHITECTURE.md shows how the packages follow the data."""
