"""What the program does. Nothing here knows HTTP, SQL or LangChain."""
