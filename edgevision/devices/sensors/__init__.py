"""What the tools of each kind of device print, as numbers: one tool a file. What is not there is None or left out."""
