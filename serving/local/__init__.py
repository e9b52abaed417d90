"""Local models: a GGUF file is a model, run by llama.cpp on this machine."""
