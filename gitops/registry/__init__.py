"""The room of the tracking server and model registry; each module below is one adapter or a part of it."""
