"""`python main.py doctor URL`: what becomes of a stream on its way through a deployment's proxies."""
