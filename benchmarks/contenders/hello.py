"""The smallest FastAPI program: the cost of starting before anything is added."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
async def health() -> dict[str, str]:
    return {"message": "Hello"}
