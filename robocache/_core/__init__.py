"""What every layer shares and no operation owns: errors, dtypes, argument checks."""
