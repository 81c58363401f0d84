"""A run: questions given to a model, and every answer kept."""
