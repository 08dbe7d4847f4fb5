"""What streams use and cost."""
