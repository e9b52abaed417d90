"""A task's signature and text: signatures, instructions, the plain adapter, hyperparameters."""
