"""What runs in the processes of the peers, in environments of their own: one folder, imported flat."""
