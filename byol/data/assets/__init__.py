"""The images that ship with the package, and the script that makes them; see README.md."""
