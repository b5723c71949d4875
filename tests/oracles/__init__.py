"""What is right, said slowly: float64 or integers, plain loops, NumPy and SciPy only. Both backends answer to these."""
