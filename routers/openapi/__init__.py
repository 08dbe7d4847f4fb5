"""What /openapi.json says and FastAPI cannot know."""
