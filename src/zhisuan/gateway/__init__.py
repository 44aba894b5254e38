"""The model data plane: OpenAI-compatible calls in, replicas at the sites out, every token metered."""
