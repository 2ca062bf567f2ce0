"""Training: the objective (Eq. 2, 4, 5), batches by length, and one resumable loop for teachers and students."""
