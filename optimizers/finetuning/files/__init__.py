"""What lies in the folders of a fine-tuning: results by key, rows, and the marks that say what is ours."""
