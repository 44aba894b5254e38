"""The embedded model server: any small causal language model over the OpenAI interface. See README.md in this folder."""
