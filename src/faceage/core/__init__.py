"""What every room shares: parameters, tables and their contracts, outputs, errors, decoding."""
