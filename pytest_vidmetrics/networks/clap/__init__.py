"""CLAP: audio and text towers, and its mel front end."""
