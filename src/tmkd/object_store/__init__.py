"""Run folder in object storage: its manifests, locks and files through obstore, worked on in a local cache."""
