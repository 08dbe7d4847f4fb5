"""What /openapi.json says where FastAPI cannot know it."""
