"""StreamForge as a page of another origin sees it, in Chromium."""
