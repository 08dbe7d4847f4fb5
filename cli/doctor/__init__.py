"""`python main.py doctor URL`: checks what a deployment's proxies do to a stream."""
