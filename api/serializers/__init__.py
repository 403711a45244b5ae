"""What goes in and out, in JSON. Choices and names are those of the vocabulary."""
