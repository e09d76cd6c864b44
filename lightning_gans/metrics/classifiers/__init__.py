"""Small classifiers that judge samples, and the scripts that trained them."""
