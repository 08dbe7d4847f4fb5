"""The AI SDK: the chats of `useChat`."""
