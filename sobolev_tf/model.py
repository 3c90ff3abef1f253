"""`SobolevModel`, the Keras way into Sobolev training."""
