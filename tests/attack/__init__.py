"""An attack on trainers, runs, command lines, library and files."""
