"""What features and out-of-fold predictions tell about the numbers and the data; arrays in, results out."""
