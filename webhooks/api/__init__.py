"""The API below `/api/v1`: what programs read and ask for. Only what stands in `shapes` is promised to them."""
