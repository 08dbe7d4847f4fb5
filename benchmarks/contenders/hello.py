"""The smallest FastAPI program: what starting costs before anything is added."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
async def health() -> dict[str, str]:
    return {"message": "Hello"}
