"""What runs in the processes of the systems, also in environments of their own: one folder, imported flat."""
