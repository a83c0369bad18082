"""Questions to models and fits."""
