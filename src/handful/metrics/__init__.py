"""Arrays in, numbers out: probabilities, scores, intervals. NumPy alone; imports only `errors`."""
