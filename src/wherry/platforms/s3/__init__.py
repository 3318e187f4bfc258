"""Objects in any S3-compatible store: their content there (`blobs`), files here as its cache."""
