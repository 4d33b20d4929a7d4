"""The photos of the training page: chosen, uploaded, shown, and what is wrong with them."""
