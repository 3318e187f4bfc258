"""Objects on this machine: their content as files (`blobs`), and signed URLs (`presign`)."""
