"""Physics-IQ: motion of a generated clip against two recorded takes."""
