"""ShiftAdd conversion: weights into signed powers of two, with the error, the size, the energy and the time of it."""
