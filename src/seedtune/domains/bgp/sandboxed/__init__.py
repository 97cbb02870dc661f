"""What programs find on their import path inside the sandbox. Nothing here imports seedtune."""
