"""All images through all models, resumable."""
